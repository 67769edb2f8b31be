mock_provider "aws" {
  # The provider reads ARNs, so these must be real.
  mock_data "aws_partition" {
    defaults = {
      partition = "aws"
    }
  }
}

variables {
  name            = "iris-test"
  region          = "eu-central-1"
  server_name     = "iris.example.com"
  certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
  alarm_emails    = ["ops@example.com"]
  operator_cidrs  = []
  images = {
    live   = { digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111", pin = "a" }
    shadow = { digest = "sha256:2222222222222222222222222222222222222222222222222222222222222222", pin = "b" }
    router = { digest = "sha256:3333333333333333333333333333333333333333333333333333333333333333", pin = "" }
  }
  first_values = {
    api_keys       = "first sha256:1111111111111111111111111111111111111111111111111111111111111111"
    control_keys   = "first 0123456789abcdef"
    first_api_key  = "0123456789abcdef"
    store_password = "0123456789abcdef01234567"
  }
  cidr_block = "10.1.0.0/16"
  sizes = {
    live   = { cpu = 512, memory_mib = 1024, min_tasks = 1, max_tasks = 4 }
    shadow = { cpu = 512, memory_mib = 1024, min_tasks = 1, max_tasks = 4 }
    router = { cpu = 512, memory_mib = 1024, min_tasks = 1, max_tasks = 1 }
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

run "one_router_keeps_a_folder" {
  command = plan

  assert {
    condition     = length(module.store) == 0 && local.books == tomap({ SHADOW_ROUTER_DATA_DIR = "/data/run_11111111_22222222" })
    error_message = "without a store, the books of a pair must be in a folder of their own"
  }
}

run "several_routers_share_a_store" {
  command = plan
  variables {
    store = { instance_class = "db.m7g.large", storage_gib = 50, max_storage_gib = 500, backup_days = 14 }
  }

  assert {
    condition     = length(module.store) == 1 && local.books["STORE_SCHEMA"] == "run_11111111_22222222"
    error_message = "with a store, the books of a pair must be in a schema of their own"
  }
}

run "a_store_that_cannot_grow_is_refused" {
  command = plan
  variables {
    store = { instance_class = "db.m7g.large", storage_gib = 50, max_storage_gib = 50, backup_days = 14 }
  }
  expect_failures = [var.store]
}
