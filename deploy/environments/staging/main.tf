# Staging: which modules, and how much of each.

locals {
  name  = "iris-staging"
  zones = ["${var.region}a", "${var.region}b"]

  # Changes with each pair of versions that is compared.
  pair = "${substr(var.images["live"].digest, 7, 8)}_${substr(var.images["shadow"].digest, 7, 8)}"

  api_settings = {
    IRIS_API_HOST         = "0.0.0.0"
    IRIS_API_PORT         = "8001"
    IRIS_API_GRACE_S      = "10"
    IRIS_API_KEYS         = "/data/api_keys"
    ORT_DISABLE_TELEMETRY = "1"
  }

  cluster = {
    arn           = module.cluster.arn
    name          = module.cluster.name
    namespace_arn = module.cluster.namespace_arn
  }

  network = {
    vpc_id                      = module.network.vpc_id
    private_subnet_ids          = module.network.private_subnet_ids
    endpoints_security_group_id = module.network.endpoints_security_group_id
    s3_prefix_list_id           = module.network.s3_prefix_list_id
  }
}

module "secrets" {
  source = "../../modules/secrets"

  name          = local.name
  names         = ["api_keys", "control_keys", "first_api_key"]
  first_values  = var.first_values
  recovery_days = var.is_protected ? 30 : 0
}

module "registry" {
  source = "../../modules/registry"

  name         = local.name
  repositories = ["iris_api", "shadow_router"]
  keep_images  = 20
  kms_key_arn  = module.secrets.kms_key_arn
  is_protected = var.is_protected
}

module "network" {
  source = "../../modules/network"

  name               = local.name
  cidr_block         = "10.20.0.0/16"
  zones              = local.zones
  kms_key_arn        = module.secrets.kms_key_arn
  log_retention_days = 365
}

module "cluster" {
  source = "../../modules/cluster"

  name = local.name
}

module "edge" {
  source = "../../modules/edge"

  name                     = local.name
  vpc_id                   = module.network.vpc_id
  public_subnet_ids        = module.network.public_subnet_ids
  target_security_group_id = module.router.security_group_id
  certificate_arn          = var.certificate_arn
  client_cidrs             = ["0.0.0.0/0"]
  operator_cidrs           = var.operator_cidrs
  requests_per_client      = 20000
  access_log_days          = 30
  kms_key_arn              = module.secrets.kms_key_arn
  log_retention_days       = 365
  is_protected             = var.is_protected
}

module "live" {
  source = "../../modules/http_service"

  name             = "api-live"
  environment_name = local.name
  cluster          = local.cluster
  network          = local.network

  image          = "${module.registry.urls["iris_api"]}@${var.images["live"].digest}"
  repository_arn = module.registry.arns["iris_api"]
  ports          = { http = 8001 }
  ready_port     = 8001
  settings       = local.api_settings
  secret_files   = { api_keys = module.secrets.secret_arns["api_keys"] }
  kms_key_arn    = module.secrets.kms_key_arn

  cpu                  = 512
  memory_mib           = 1024
  min_tasks            = 1
  max_tasks            = 4
  target_cpu_percent   = 50
  grace_seconds        = 10
  stop_timeout_seconds = 30
  log_retention_days   = 365

  callers = { router = { security_group_id = module.router.security_group_id, port = 8001 } }
}

module "shadow" {
  source = "../../modules/http_service"

  name             = "api-shadow"
  environment_name = local.name
  cluster          = local.cluster
  network          = local.network

  image          = "${module.registry.urls["iris_api"]}@${var.images["shadow"].digest}"
  repository_arn = module.registry.arns["iris_api"]
  ports          = { http = 8001 }
  ready_port     = 8001
  settings       = local.api_settings
  secret_files   = { api_keys = module.secrets.secret_arns["api_keys"] }
  kms_key_arn    = module.secrets.kms_key_arn

  cpu                  = 512
  memory_mib           = 1024
  min_tasks            = 1
  max_tasks            = 2
  target_cpu_percent   = 50
  grace_seconds        = 10
  stop_timeout_seconds = 30
  log_retention_days   = 365

  callers = { router = { security_group_id = module.router.security_group_id, port = 8001 } }
}

module "router" {
  source = "../../modules/http_service"

  name             = "router"
  environment_name = local.name
  cluster          = local.cluster
  network          = local.network

  image          = "${module.registry.urls["shadow_router"]}@${var.images["router"].digest}"
  repository_arn = module.registry.arns["shadow_router"]
  command        = ["serve"]
  ports          = { public = 8000, private = 8010 }
  ready_port     = 8000
  exporter       = module.observability.exporter

  settings = {
    SHADOW_ROUTER_PUBLIC_HOST      = "0.0.0.0"
    SHADOW_ROUTER_PRIVATE_HOST     = "0.0.0.0"
    SHADOW_ROUTER_LIVE_URL         = "http://${module.live.name}:8001"
    SHADOW_ROUTER_SHADOW_URL       = "http://${module.shadow.name}:8001"
    SHADOW_ROUTER_CONTROL_KEY_FILE = "/data/control_keys"
    # The shadow asks for the same keys as live.
    SHADOW_ROUTER_COPY_HEADERS = "X-API-Key"
    # The shadow has machines of its own: it slows nobody down.
    SHADOW_ROUTER_SHED_RATIO = "0"
    SHADOW_ROUTER_GRACE_S    = "5"
    # One folder a pair of versions, so that each pair has its own books.
    SHADOW_ROUTER_DATA_DIR = "/data/run_${local.pair}"
  }

  secret_files = { control_keys = module.secrets.secret_arns["control_keys"] }
  kms_key_arn  = module.secrets.kms_key_arn

  cpu                = 1024
  memory_mib         = 2048
  min_tasks          = 1
  max_tasks          = 1
  target_cpu_percent = 50
  # The router's requests, its queue, and the collector's each have 5 s, and there are 5 to spare.
  grace_seconds        = 20
  stop_timeout_seconds = 60
  log_retention_days   = 365

  target_groups = module.edge.target_groups
  callers = {
    clients   = { security_group_id = module.edge.security_group_id, port = 8000 }
    operators = { security_group_id = module.edge.security_group_id, port = 8010 }
  }
  callees = {
    api-live   = { security_group_id = module.live.security_group_id, port = 8001 }
    api-shadow = { security_group_id = module.shadow.security_group_id, port = 8001 }
  }
}

module "observability" {
  source = "../../modules/observability"

  name                  = local.name
  kms_key_arn           = module.secrets.kms_key_arn
  alarm_emails          = var.alarm_emails
  cluster_name          = module.cluster.name
  services              = ["api-live", "api-shadow", "router"]
  router_log_group_name = module.router.log_group_name
  load_balancer = {
    arn_suffix          = module.edge.arn_suffix
    target_group_suffix = module.edge.target_group_suffixes["public"]
  }

  error_percent      = 1
  latency_ms         = 250
  saturation_percent = 85
  loss_percent       = 1
}

module "cost" {
  source = "../../modules/cost"

  name               = local.name
  monthly_budget_usd = 300
  anomaly_usd        = 20
  alarm_emails       = var.alarm_emails
}
