mock_provider "aws" {}

variables {
  name                  = "iris-test"
  kms_key_arn           = "arn:aws:kms:eu-central-1:111122223333:key/1"
  alarm_emails          = ["ops@example.com"]
  cluster_name          = "iris-test"
  services              = ["router"]
  router_log_group_name = "/iris-test/router"
  load_balancer         = { arn_suffix = "app/a/1", target_group_suffix = "targetgroup/a/1" }
  error_percent         = 1
  latency_ms            = 100
  saturation_percent    = 85
  loss_percent          = 1
}

run "every_alarm_tells_somebody" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 9
    error_message = "load balancer 3, shadow 4, service 2"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["exporter-silent"].treat_missing_data == "breaching"
    error_message = "silence must be an alarm"
  }

  assert {
    condition     = length(aws_sns_topic_subscription.emails) == 1
    error_message = "somebody must be told"
  }
}

run "an_alarm_that_nobody_hears_is_refused" {
  command = plan
  variables {
    alarm_emails = []
  }
  expect_failures = [var.alarm_emails]
}
