variable "name" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "monthly_budget_usd" {
  description = "What the environment may cost a month."
  type        = number

  validation {
    condition     = var.monthly_budget_usd >= 1
    error_message = "monthly_budget_usd must be 1 or more."
  }
}

variable "anomaly_usd" {
  description = "Cost above the usual of a day that is an anomaly."
  type        = number

  validation {
    condition     = var.anomaly_usd >= 1
    error_message = "anomaly_usd must be 1 or more: pennies would call somebody every day."
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
}

variable "alert_percents" {
  description = "Shares of the budget at which somebody is told."
  type        = list(number)
  default     = [50, 80, 100]

  validation {
    condition     = length(var.alert_percents) > 0
    error_message = "alert_percents must name one share at least."
  }

  validation {
    condition     = alltrue([for percent in var.alert_percents : percent > 0 && percent <= 100])
    error_message = "alert_percents must be above 0 and at most 100: later is too late."
  }
}
