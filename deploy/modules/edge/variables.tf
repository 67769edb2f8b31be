variable "name" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "vpc_id" {
  description = "The network."
  type        = string

  validation {
    condition     = can(regex("^vpc-", var.vpc_id))
    error_message = "vpc_id must be the id of a network."
  }
}

variable "public_subnet_ids" {
  description = "Where the load balancer is, one a zone."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "public_subnet_ids must be 2 or more, one a zone."
  }
}

variable "certificate_arn" {
  description = "Certificate of the name that clients call."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of a certificate in ACM: clients are answered by HTTPS alone."
  }

  validation {
    condition     = !can(regex(":000000000000:", var.certificate_arn))
    error_message = "certificate_arn is still the example's: set yours in settings.auto.tfvars."
  }
}

variable "tls_policy" {
  description = "TLS versions and ciphers of the listeners."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  validation {
    condition     = startswith(var.tls_policy, "ELBSecurityPolicy-TLS13-1-")
    error_message = "tls_policy must be one of ELBSecurityPolicy-TLS13-1-…: older ones allow TLS that is broken."
  }

  validation {
    condition     = !can(regex("TLS13-1-[01]-", var.tls_policy))
    error_message = "tls_policy must not allow TLS 1.0 or 1.1."
  }
}

variable "listener_protocol" {
  description = "Protocol of the listeners."
  type        = string
  default     = "HTTPS"

  validation {
    condition     = var.listener_protocol == "HTTPS"
    error_message = "listener_protocol must be HTTPS: HTTP shows keys and inputs to everybody on the way."
  }
}

variable "client_cidrs" {
  description = "Addresses that may call the service; 0.0.0.0/0 for everybody."
  type        = list(string)

  validation {
    condition     = length(var.client_cidrs) > 0
    error_message = "client_cidrs must name one block at least: nobody could call the service."
  }

  validation {
    condition     = alltrue([for block in var.client_cidrs : can(cidrhost(block, 0))])
    error_message = "client_cidrs must be IPv4 blocks such as 203.0.113.0/24."
  }
}

variable "operator_cidrs" {
  description = "Addresses that may see the report and the controls; empty for nobody."
  type        = list(string)

  validation {
    condition     = alltrue([for block in var.operator_cidrs : can(cidrhost(block, 0))])
    error_message = "operator_cidrs must be IPv4 blocks such as 203.0.113.0/24."
  }

  validation {
    condition     = alltrue([for block in var.operator_cidrs : try(tonumber(split("/", block)[1]) >= 16, false)])
    error_message = "operator_cidrs must be /16 or narrower, never 0.0.0.0/0: report and controls are not for everybody."
  }
}

variable "requests_per_client" {
  description = "Requests that one address may send in five minutes before it is refused."
  type        = number

  validation {
    condition     = var.requests_per_client >= 100 && var.requests_per_client <= 20000000
    error_message = "requests_per_client must be 100 to 20000000 in five minutes."
  }
}

variable "access_log_days" {
  description = "Days that access logs are kept."
  type        = number

  validation {
    condition     = var.access_log_days >= 30 && var.access_log_days <= 400
    error_message = "access_log_days must be 30 to 400: with 0 nothing could be looked up."
  }
}

variable "idle_timeout_seconds" {
  description = "Seconds that a silent connection is kept; the router keeps them for 75."
  type        = number
  default     = 60

  validation {
    condition     = var.idle_timeout_seconds >= 10 && var.idle_timeout_seconds < 75
    error_message = "idle_timeout_seconds must be 10 to 74: a connection that the router ends first costs a request."
  }
}

variable "deregistration_seconds" {
  description = "Seconds that a task which is leaving keeps its connections."
  type        = number
  default     = 30

  validation {
    condition     = var.deregistration_seconds >= 10 && var.deregistration_seconds <= 300
    error_message = "deregistration_seconds must be 10 to 300: with 0 requests are cut, with more a rollback takes too long."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the firewall's log."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "log_retention_days" {
  description = "Days that the firewall's log is kept."
  type        = number

  validation {
    condition     = contains([365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "log_retention_days must be 365, 400, 545, 731 or 1096: a year at least, never 0 (for ever)."
  }
}

variable "is_protected" {
  description = "Whether it refuses to be destroyed, with what it holds."
  type        = bool
}

variable "target_security_group_id" {
  description = "Group of the tasks that requests are handed to."
  type        = string

  validation {
    condition     = can(regex("^sg-", var.target_security_group_id))
    error_message = "target_security_group_id must be a security group."
  }
}
