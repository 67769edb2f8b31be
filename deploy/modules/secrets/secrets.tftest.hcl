mock_provider "aws" {}

variables {
  name          = "iris-test"
  names         = ["api_keys"]
  first_values  = { api_keys = "first 0123456789abcdef" }
  recovery_days = 30
}

run "key_rotates_and_can_be_had_back" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "the key must rotate"
  }

  assert {
    condition     = aws_secretsmanager_secret.this["api_keys"].recovery_window_in_days == 30
    error_message = "a deleted secret must be there for a while"
  }
}

run "recovery_of_a_day_is_refused" {
  command = plan
  variables {
    recovery_days = 1
  }
  expect_failures = [var.recovery_days]
}
