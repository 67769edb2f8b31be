variable "name" {
  description = "Name of the environment, such as iris-staging; begins the name of everything."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "cidr_block" {
  description = "Private addresses of the network, such as 10.20.0.0/16."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr_block, 0))
    error_message = "cidr_block must be an IPv4 block such as 10.20.0.0/16."
  }

  validation {
    condition     = can(regex("^(10|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\.", var.cidr_block))
    error_message = "cidr_block must be private: within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
  }

  validation {
    condition     = can(regex("/(1[6-9]|2[0-2])$", var.cidr_block))
    error_message = "cidr_block must be /16 to /22, so that each subnet has room for its tasks."
  }
}

variable "zones" {
  description = "Availability zones; each gets a public and a private subnet."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 4
    error_message = "zones must be 2 to 4: one zone may fail, and each costs its endpoints."
  }

  validation {
    condition     = length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must differ from each other."
  }

  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", zone))])
    error_message = "zones must be names such as eu-central-1a."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "log_retention_days" {
  description = "Days that flow logs are kept."
  type        = number

  validation {
    condition     = contains([365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "log_retention_days must be 365, 400, 545, 731 or 1096: a year at least, never 0 (for ever)."
  }
}
