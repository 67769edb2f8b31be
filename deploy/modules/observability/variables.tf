variable "name" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts what alarms say."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "alarm_emails" {
  description = "Who is told."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) > 0
    error_message = "alarm_emails must name one address at least: an alarm that nobody hears is none."
  }

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "alarm_emails must be addresses such as ops@example.org."
  }

  validation {
    condition     = alltrue([for address in var.alarm_emails : !endswith(address, "@example.org")])
    error_message = "alarm_emails is still the example's: set yours in settings.auto.tfvars."
  }
}

variable "cluster_name" {
  description = "Where the services run."
  type        = string

  validation {
    condition     = length(var.cluster_name) > 0
    error_message = "cluster_name must not be empty."
  }
}

variable "services" {
  description = "Services that are watched."
  type        = set(string)

  validation {
    condition     = length(var.services) > 0
    error_message = "services must name one service at least."
  }
}

variable "router_log_group_name" {
  description = "Where the router's exporter writes its lines."
  type        = string

  validation {
    condition     = startswith(var.router_log_group_name, "/")
    error_message = "router_log_group_name must be the name of a log group, such as /iris-staging/router."
  }
}

variable "load_balancer" {
  description = "Load balancer and public target group, as dimensions of their metrics."
  type        = object({ arn_suffix = string, target_group_suffix = string })

  validation {
    condition     = startswith(var.load_balancer.arn_suffix, "app/")
    error_message = "load_balancer.arn_suffix must begin with app/."
  }

  validation {
    condition     = startswith(var.load_balancer.target_group_suffix, "targetgroup/")
    error_message = "load_balancer.target_group_suffix must begin with targetgroup/."
  }
}

variable "store_identifier" {
  description = "The store, or nothing where there is none."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.store_identifier) <= 1
    error_message = "store_identifier must be one store or none."
  }
}

variable "error_percent" {
  description = "Share of requests answered with 5xx above which somebody is told."
  type        = number

  validation {
    condition     = var.error_percent > 0 && var.error_percent <= 10
    error_message = "error_percent must be above 0 and at most 10."
  }
}

variable "latency_ms" {
  description = "99th percentile of the answers' time above which somebody is told."
  type        = number

  validation {
    condition     = var.latency_ms >= 1 && var.latency_ms <= 10000
    error_message = "latency_ms must be 1 to 10000."
  }
}

variable "saturation_percent" {
  description = "Processor or memory of a service above which somebody is told."
  type        = number

  validation {
    condition     = var.saturation_percent > 70 && var.saturation_percent < 100
    error_message = "saturation_percent must be above 70, where tasks are still being added, and below 100."
  }
}

variable "loss_percent" {
  description = "Share of copies that never became a comparison above which somebody is told."
  type        = number

  validation {
    condition     = var.loss_percent > 0 && var.loss_percent <= 1
    error_message = "loss_percent must be above 0 and at most 1: from 1 % on the verdict is INVALID."
  }
}
