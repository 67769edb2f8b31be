# All of an environment: which modules, and how they hang together.

locals {
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

  # Several routers share a run by a store; one keeps a folder.
  # One schema or folder a pair of versions, so that each pair has its own books.
  books = var.store == null ? tomap({
    SHADOW_ROUTER_DATA_DIR = "/data/run_${local.pair}"
    }) : tomap({
    STORE_SCHEMA = "run_${local.pair}"
    # libpq reads the rest.
    SHADOW_ROUTER_STORE_URL = "postgresql+psycopg:///?options=-csearch_path%3Drun_${local.pair}"
    PGHOST                  = one(module.store[*].address)
    PGUSER                  = "shadow_router"
    PGDATABASE              = "shadow_router"
    PGSSLMODE               = "require"
  })

  network = {
    vpc_id                      = module.network.vpc_id
    private_subnet_ids          = module.network.private_subnet_ids
    endpoints_security_group_id = module.network.endpoints_security_group_id
    s3_prefix_list_id           = module.network.s3_prefix_list_id
  }
}

module "secrets" {
  source = "../secrets"

  name          = var.name
  names         = concat(["api_keys", "control_keys", "first_api_key"], var.store == null ? [] : ["store_password"])
  first_values  = var.first_values
  recovery_days = var.is_protected ? 30 : 0
}

module "registry" {
  source = "../registry"

  name         = var.name
  repositories = ["iris_api", "shadow_router"]
  keep_images  = var.numbers.keep_images
  kms_key_arn  = module.secrets.kms_key_arn
  is_protected = var.is_protected
}

module "network" {
  source = "../network"

  name               = var.name
  cidr_block         = var.cidr_block
  zones              = local.zones
  kms_key_arn        = module.secrets.kms_key_arn
  log_retention_days = var.numbers.log_retention_days
}

module "cluster" {
  source = "../cluster"

  name = var.name
}

module "edge" {
  source = "../edge"

  name                     = var.name
  vpc_id                   = module.network.vpc_id
  public_subnet_ids        = module.network.public_subnet_ids
  target_security_group_id = module.router.security_group_id
  certificate_arn          = var.certificate_arn
  client_cidrs             = ["0.0.0.0/0"]
  operator_cidrs           = var.operator_cidrs
  requests_per_client      = var.numbers.requests_per_client
  access_log_days          = var.numbers.access_log_days
  kms_key_arn              = module.secrets.kms_key_arn
  log_retention_days       = var.numbers.log_retention_days
  is_protected             = var.is_protected
}

module "live" {
  source = "../http_service"

  name             = "api-live"
  environment_name = var.name
  cluster          = local.cluster
  network          = local.network

  image          = "${module.registry.urls["iris_api"]}@${var.images["live"].digest}"
  repository_arn = module.registry.arns["iris_api"]
  ports          = { http = 8001 }
  ready_port     = 8001
  settings       = local.api_settings
  secret_files   = { api_keys = module.secrets.secret_arns["api_keys"] }
  kms_key_arn    = module.secrets.kms_key_arn

  cpu                  = var.sizes.live.cpu
  memory_mib           = var.sizes.live.memory_mib
  min_tasks            = var.sizes.live.min_tasks
  max_tasks            = var.sizes.live.max_tasks
  target_cpu_percent   = 50
  grace_seconds        = 10
  stop_timeout_seconds = 30
  log_retention_days   = var.numbers.log_retention_days

  callers = { router = { security_group_id = module.router.security_group_id, port = 8001 } }
}

module "shadow" {
  source = "../http_service"

  name             = "api-shadow"
  environment_name = var.name
  cluster          = local.cluster
  network          = local.network

  image          = "${module.registry.urls["iris_api"]}@${var.images["shadow"].digest}"
  repository_arn = module.registry.arns["iris_api"]
  ports          = { http = 8001 }
  ready_port     = 8001
  settings       = local.api_settings
  secret_files   = { api_keys = module.secrets.secret_arns["api_keys"] }
  kms_key_arn    = module.secrets.kms_key_arn

  cpu                  = var.sizes.shadow.cpu
  memory_mib           = var.sizes.shadow.memory_mib
  min_tasks            = var.sizes.shadow.min_tasks
  max_tasks            = var.sizes.shadow.max_tasks
  target_cpu_percent   = 50
  grace_seconds        = 10
  stop_timeout_seconds = 30
  log_retention_days   = var.numbers.log_retention_days

  callers = { router = { security_group_id = module.router.security_group_id, port = 8001 } }
}

module "router" {
  source = "../http_service"

  name             = "router"
  environment_name = var.name
  cluster          = local.cluster
  network          = local.network

  image          = "${module.registry.urls["shadow_router"]}@${var.images["router"].digest}"
  repository_arn = module.registry.arns["shadow_router"]
  command        = ["serve"]
  ports          = { public = 8000, private = 8010 }
  ready_port     = 8000
  exporter       = module.observability.exporter

  settings = merge(local.books, {
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
  })

  secrets      = var.store == null ? {} : { PGPASSWORD = module.secrets.secret_arns["store_password"] }
  secret_files = { control_keys = module.secrets.secret_arns["control_keys"] }
  kms_key_arn  = module.secrets.kms_key_arn

  cpu                = var.sizes.router.cpu
  memory_mib         = var.sizes.router.memory_mib
  min_tasks          = var.sizes.router.min_tasks
  max_tasks          = var.sizes.router.max_tasks
  target_cpu_percent = 50
  # The router's requests, its queue, and the collector's each have 5 s, and there are 5 to spare.
  grace_seconds        = 20
  stop_timeout_seconds = 60
  log_retention_days   = var.numbers.log_retention_days

  target_groups = module.edge.target_groups
  callers = {
    clients   = { security_group_id = module.edge.security_group_id, port = 8000 }
    operators = { security_group_id = module.edge.security_group_id, port = 8010 }
  }
  callees = merge(
    {
      api-live   = { security_group_id = module.live.security_group_id, port = 8001 }
      api-shadow = { security_group_id = module.shadow.security_group_id, port = 8001 }
    },
    { for store in module.store : "store" => { security_group_id = store.security_group_id, port = 5432 } },
  )
}

module "store" {
  source = "../store"
  count  = var.store == null ? 0 : 1

  name                     = var.name
  vpc_id                   = module.network.vpc_id
  private_subnet_ids       = module.network.private_subnet_ids
  client_security_group_id = module.router.security_group_id
  kms_key_arn              = module.secrets.kms_key_arn
  password                 = var.first_values.store_password
  instance_class           = var.store.instance_class
  storage_gib              = var.store.storage_gib
  max_storage_gib          = var.store.max_storage_gib
  backup_days              = var.store.backup_days
  is_protected             = var.is_protected
}

module "observability" {
  source = "../observability"

  name                  = var.name
  kms_key_arn           = module.secrets.kms_key_arn
  alarm_emails          = var.alarm_emails
  cluster_name          = module.cluster.name
  services              = ["api-live", "api-shadow", "router"]
  router_log_group_name = module.router.log_group_name
  load_balancer = {
    arn_suffix          = module.edge.arn_suffix
    target_group_suffix = module.edge.target_group_suffixes["public"]
  }

  store_identifier   = module.store[*].identifier
  error_percent      = 1
  latency_ms         = var.numbers.latency_ms
  saturation_percent = 85
  loss_percent       = 1
}

module "cost" {
  source = "../cost"

  name               = var.name
  monthly_budget_usd = var.numbers.monthly_budget_usd
  anomaly_usd        = var.numbers.anomaly_usd
  alarm_emails       = var.alarm_emails
}
