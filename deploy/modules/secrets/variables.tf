variable "name" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "first_values" {
  description = "What each secret holds at first; later values are put by people and are not in the state."
  type        = map(string)
  ephemeral   = true

  validation {
    condition     = alltrue([for value in values(var.first_values) : length(value) >= 16])
    error_message = "first_values must be 16 characters or more each."
  }
}

variable "names" {
  description = "Names of the secrets, keys of first_values."
  type        = set(string)

  validation {
    condition     = length(var.names) > 0
    error_message = "names must name one secret at least."
  }

  validation {
    condition     = alltrue([for name in var.names : can(regex("^[a-z][a-z_]*$", name))])
    error_message = "names must be of a-z and _."
  }
}

variable "recovery_days" {
  description = "Days in which a deleted secret or key can be had back; 0 deletes secrets at once."
  type        = number

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 7 to 30, or 0 where everything may be thrown away."
  }
}
