mock_provider "aws" {}

variables {
  name         = "iris-test"
  repositories = ["iris_api"]
  keep_images  = 20
  kms_key_arn  = "arn:aws:kms:eu-central-1:111122223333:key/1"
  is_protected = true
}

run "images_cannot_be_replaced" {
  command = plan

  assert {
    condition     = aws_ecr_repository.this["iris_api"].image_tag_mutability == "IMMUTABLE"
    error_message = "a tag must keep its meaning"
  }

  assert {
    condition     = aws_ecr_repository.this["iris_api"].image_scanning_configuration[0].scan_on_push
    error_message = "images must be scanned"
  }

  assert {
    condition     = length(jsondecode(aws_ecr_lifecycle_policy.this["iris_api"].policy).rules) == 2
    error_message = "old images must go"
  }
}

run "too_few_to_roll_back_is_refused" {
  command = plan
  variables {
    keep_images = 1
  }
  expect_failures = [var.keep_images]
}
