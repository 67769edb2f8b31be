# Production: how much of everything.

module "stack" {
  source = "../../modules/stack"

  name            = "iris-production"
  region          = var.region
  server_name     = var.server_name
  certificate_arn = var.certificate_arn
  alarm_emails    = var.alarm_emails
  operator_cidrs  = var.operator_cidrs
  images          = var.images
  first_values    = var.first_values
  is_protected    = var.is_protected

  cidr_block = "10.30.0.0/16"

  sizes = {
    live   = { cpu = 1024, memory_mib = 2048, min_tasks = 2, max_tasks = 40 }
    shadow = { cpu = 1024, memory_mib = 2048, min_tasks = 2, max_tasks = 40 }
    router = { cpu = 2048, memory_mib = 4096, min_tasks = 2, max_tasks = 40 }
  }

  numbers = {
    keep_images         = 100
    log_retention_days  = 400
    access_log_days     = 90
    requests_per_client = 300000
    latency_ms          = 100
    monthly_budget_usd  = 1500
    anomaly_usd         = 100
  }

  store = {
    instance_class  = "db.m7g.large"
    storage_gib     = 50
    max_storage_gib = 500
    backup_days     = 14
  }
}
