# Staging: how much of everything.

module "stack" {
  source = "../../modules/stack"

  name            = "iris-staging"
  region          = var.region
  server_name     = var.server_name
  certificate_arn = var.certificate_arn
  alarm_emails    = var.alarm_emails
  operator_cidrs  = var.operator_cidrs
  images          = var.images
  first_values    = var.first_values
  is_protected    = var.is_protected

  cidr_block = "10.20.0.0/16"

  sizes = {
    live   = { cpu = 512, memory_mib = 1024, min_tasks = 1, max_tasks = 4 }
    shadow = { cpu = 512, memory_mib = 1024, min_tasks = 1, max_tasks = 2 }
    router = { cpu = 1024, memory_mib = 2048, min_tasks = 1, max_tasks = 1 }
  }

  numbers = {
    keep_images         = 20
    log_retention_days  = 365
    access_log_days     = 30
    requests_per_client = 20000
    latency_ms          = 250
    monthly_budget_usd  = 300
    anomaly_usd         = 20
  }
}
