variable "name" {
  description = "Name of the environment; everything in it is called by it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "region" {
  description = "Where everything is."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a name such as eu-central-1."
  }
}

variable "server_name" {
  description = "Name that clients call, which the certificate is for."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.server_name))
    error_message = "server_name must be a name such as iris.example.com."
  }
}

variable "certificate_arn" {
  description = "Certificate of server_name, in the same region."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of a certificate in ACM."
  }
}

variable "alarm_emails" {
  description = "Who is told of alarms and of cost."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) > 0
    error_message = "alarm_emails must name one address at least: an alarm that nobody hears is none."
  }
}

variable "operator_cidrs" {
  description = "Addresses that may see the report; empty for nobody."
  type        = list(string)

  validation {
    condition     = alltrue([for block in var.operator_cidrs : can(cidrhost(block, 0))])
    error_message = "operator_cidrs must be IPv4 blocks such as 203.0.113.0/24."
  }
}

variable "images" {
  description = "Digest of each image, and the pin of the model that is in it; `tox run -e deploy` writes it."
  type        = map(object({ digest = string, pin = string }))

  validation {
    condition     = length(setsubtract(["live", "shadow", "router"], keys(var.images))) == 0
    error_message = "images must have live, shadow and router: run `tox run -e deploy -- ENV use ROLE DIGEST`."
  }

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("^sha256:[0-9a-f]{64}$", image.digest))])
    error_message = "images must be named by digest, sha256: and 64 hexadecimal digits, never by a tag such as latest."
  }
}

variable "first_values" {
  description = "What the secrets hold at first; `tox run -e deploy` makes them up and never shows them."
  type        = object({ api_keys = string, control_keys = string, first_api_key = string, store_password = string })
  ephemeral   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+ sha256:[0-9a-f]{64}$", var.first_values.api_keys))
    error_message = "first_values.api_keys must be a line as `iris-api key NAME` prints it: a name and a sha256."
  }
}

variable "is_protected" {
  description = "Whether what holds data refuses to be destroyed; `destroy` lifts it first."
  type        = bool
  default     = true
}

variable "cidr_block" {
  description = "Addresses of the private network."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr_block, 0))
    error_message = "cidr_block must be an IPv4 block such as 10.20.0.0/16."
  }
}

variable "sizes" {
  description = "How large each task is, and how many there are."
  type = object({
    live   = object({ cpu = number, memory_mib = number, min_tasks = number, max_tasks = number })
    shadow = object({ cpu = number, memory_mib = number, min_tasks = number, max_tasks = number })
    router = object({ cpu = number, memory_mib = number, min_tasks = number, max_tasks = number })
  })

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.max_tasks >= size.min_tasks])
    error_message = "sizes must have max_tasks of min_tasks or more."
  }
}

variable "numbers" {
  description = "How long things are kept, what a client may ask in five minutes, and when somebody is told."
  type = object({
    keep_images         = number
    log_retention_days  = number
    access_log_days     = number
    requests_per_client = number
    latency_ms          = number
    monthly_budget_usd  = number
    anomaly_usd         = number
  })

  validation {
    condition     = alltrue([for number in values(var.numbers) : number >= 1])
    error_message = "numbers must be 1 or more each."
  }
}

variable "store" {
  description = "The PostgreSQL that several routers share; null where one router keeps a folder."
  type = object({
    instance_class  = string
    storage_gib     = number
    max_storage_gib = number
    backup_days     = number
  })
  default = null

  validation {
    condition     = var.store == null ? true : var.store.max_storage_gib > var.store.storage_gib
    error_message = "store.max_storage_gib must be more than storage_gib."
  }
}
