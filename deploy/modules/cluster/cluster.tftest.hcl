mock_provider "aws" {}

variables {
  name = "iris-test"
}

run "tasks_are_watched" {
  command = plan

  assert {
    condition     = one(aws_ecs_cluster.this.setting).value == "enabled"
    error_message = "container insights must be on"
  }
}

run "name_with_capitals_is_refused" {
  command = plan
  variables {
    name = "IRIS"
  }
  expect_failures = [var.name]
}
