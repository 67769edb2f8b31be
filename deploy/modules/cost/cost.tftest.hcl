mock_provider "aws" {}

variables {
  name               = "iris-test"
  monthly_budget_usd = 300
  anomaly_usd        = 20
  alarm_emails       = ["ops@example.com"]
}

run "somebody_is_told_before_the_budget_is_spent" {
  command = plan

  assert {
    condition     = length(aws_budgets_budget.this.notification) == 4
    error_message = "at 50, 80 and 100 %, and when 100 % is forecast"
  }

  assert {
    condition     = aws_ce_anomaly_subscription.this.frequency == "DAILY"
    error_message = "anomalies must be told each day"
  }
}

run "a_budget_of_nothing_is_refused" {
  command = plan
  variables {
    monthly_budget_usd = 0
  }
  expect_failures = [var.monthly_budget_usd]
}
