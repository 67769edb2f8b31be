variable "name" {
  description = "Name of the service, by which others reach it: api-live, api-shadow or router."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "name must be 2 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "environment_name" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.environment_name))
    error_message = "environment_name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "image" {
  description = "Image by digest: repository@sha256:…"
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must end in @sha256: and 64 hexadecimal digits: a tag, and latest above all, may come to mean something else."
  }

  validation {
    condition     = !can(regex(":[^@/]+@", var.image))
    error_message = "image must not name a tag beside the digest: it would say nothing."
  }
}

variable "repository_arn" {
  description = "Repository that the image is fetched from, and no other."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:ecr:[^*]+:repository/[^*]+$", var.repository_arn))
    error_message = "repository_arn must be the ARN of one ECR repository, without *."
  }
}

variable "command" {
  description = "Arguments for the image's entry point; empty for its own."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for word in var.command : word != ""])
    error_message = "command must not hold empty words."
  }
}

variable "ports" {
  description = "Ports that the service listens on, by name."
  type        = map(number)

  validation {
    condition     = length(var.ports) > 0
    error_message = "ports must name one port at least."
  }

  validation {
    condition     = alltrue([for port in values(var.ports) : port >= 1024 && port <= 65535])
    error_message = "ports must be 1024 to 65535: the process is not root."
  }

  validation {
    condition     = length(distinct(values(var.ports))) == length(var.ports)
    error_message = "ports must differ from each other."
  }
}

variable "ready_port" {
  description = "Port whose /readyz says that a task is ready; one of ports."
  type        = number

  validation {
    condition     = contains(values(var.ports), var.ready_port)
    error_message = "ready_port must be one of ports."
  }
}

variable "settings" {
  description = "Environment of the process; nothing secret."
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "settings must have names of A-Z, 0-9 and _."
  }

  validation {
    condition     = alltrue([for name in keys(var.settings) : !can(regex("PASSWORD|SECRET|TOKEN", name))])
    error_message = "settings must hold no PASSWORD, SECRET or TOKEN: those go in secrets."
  }
}

variable "secrets" {
  description = "Environment from Secrets Manager: ARN by name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:aws[a-z-]*:secretsmanager:[^*]+$", arn))])
    error_message = "secrets must be ARNs of Secrets Manager, without *."
  }
}

variable "secret_files" {
  description = "Files in /data that are filled from Secrets Manager before the start: ARN by file name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.secret_files) : can(regex("^[a-z][a-z_]*$", name))])
    error_message = "secret_files must have names of a-z and _."
  }

  validation {
    condition     = alltrue([for arn in values(var.secret_files) : can(regex("^arn:aws[a-z-]*:secretsmanager:[^*]+$", arn))])
    error_message = "secret_files must be ARNs of Secrets Manager, without *."
  }
}

variable "kms_key_arn" {
  description = "Key that opens the secrets and encrypts the logs."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "exporter" {
  description = "Python that turns the service's metrics into lines of its log, run beside it; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = length(var.exporter) < 16384
    error_message = "exporter must be a short script: a task definition has 64 KiB."
  }
}

variable "cpu" {
  description = "Processor of a task in 1/1024 of one."
  type        = number

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192], var.cpu)
    error_message = "cpu must be 256, 512, 1024, 2048, 4096 or 8192, which Fargate has."
  }
}

variable "memory_mib" {
  description = "Memory of a task in MiB."
  type        = number

  validation {
    condition     = var.memory_mib >= 2 * var.cpu && var.memory_mib <= 8 * var.cpu && var.memory_mib % 512 == 0
    error_message = "memory_mib must be 2 to 8 times cpu and a multiple of 512, which Fargate has."
  }
}

variable "min_tasks" {
  description = "Tasks that run at least."
  type        = number

  validation {
    condition     = var.min_tasks >= 1 && floor(var.min_tasks) == var.min_tasks
    error_message = "min_tasks must be a whole number, 1 or more: with none nobody is answered."
  }
}

variable "max_tasks" {
  description = "Tasks that run at most."
  type        = number

  validation {
    condition     = var.max_tasks >= var.min_tasks
    error_message = "max_tasks must be min_tasks or more."
  }

  validation {
    condition     = var.max_tasks <= 500
    error_message = "max_tasks must be 500 or fewer: ask for a quota, and look at the bill, before more."
  }
}

variable "target_cpu_percent" {
  description = "Load at which tasks are added."
  type        = number

  validation {
    condition     = var.target_cpu_percent >= 20 && var.target_cpu_percent <= 70
    error_message = "target_cpu_percent must be 20 to 70: above, half of the tasks cannot carry the load when a zone fails."
  }
}

variable "grace_seconds" {
  description = "Seconds that the process takes at most to finish what it has accepted."
  type        = number

  validation {
    condition     = var.grace_seconds >= 1
    error_message = "grace_seconds must be 1 or more: requests in flight would be cut."
  }
}

variable "stop_timeout_seconds" {
  description = "Seconds after which a task that is stopping is killed."
  type        = number

  validation {
    condition     = var.stop_timeout_seconds >= var.grace_seconds + 5
    error_message = "stop_timeout_seconds must be grace_seconds + 5 or more: the drain would be cut."
  }

  validation {
    condition     = var.stop_timeout_seconds <= 120
    error_message = "stop_timeout_seconds must be 120 or fewer, which Fargate allows."
  }
}

variable "open_files" {
  description = "Descriptors that the process may have."
  type        = number
  default     = 8192

  validation {
    condition     = var.open_files >= 4224
    error_message = "open_files must be 4224 or more: 4096 connections and 128 to spare."
  }
}

variable "log_retention_days" {
  description = "Days that what the service says is kept."
  type        = number

  validation {
    condition     = contains([365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "log_retention_days must be 365, 400, 545, 731 or 1096: a year at least, never 0 (for ever)."
  }
}

variable "cluster" {
  description = "Where tasks run: ARN and name of the cluster, and the namespace of its services."
  type = object({
    arn           = string
    name          = string
    namespace_arn = string
  })

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:ecs:", var.cluster.arn))
    error_message = "cluster.arn must be the ARN of an ECS cluster."
  }
}

variable "network" {
  description = "Where tasks are: network, private subnets, and what they need to fetch their image."
  type = object({
    vpc_id                      = string
    private_subnet_ids          = list(string)
    endpoints_security_group_id = string
    s3_prefix_list_id           = string
  })

  validation {
    condition     = length(var.network.private_subnet_ids) >= 2
    error_message = "network.private_subnet_ids must be 2 or more, one a zone."
  }
}

variable "callers" {
  description = "Security groups that may call the service, and on which port, by any name."
  type        = map(object({ security_group_id = string, port = number }))

  validation {
    condition     = length(var.callers) > 0
    error_message = "callers must name one group at least: a service that nobody may call is none."
  }

  validation {
    condition     = alltrue([for caller in values(var.callers) : can(regex("^sg-", caller.security_group_id))])
    error_message = "callers must be security groups, never addresses such as 0.0.0.0/0."
  }

  validation {
    condition     = alltrue([for caller in values(var.callers) : contains(values(var.ports), caller.port)])
    error_message = "callers must call one of ports."
  }
}

variable "callees" {
  description = "Security groups that the service calls, and on which port, by any name."
  type        = map(object({ security_group_id = string, port = number }))
  default     = {}

  validation {
    condition     = alltrue([for callee in values(var.callees) : can(regex("^sg-", callee.security_group_id))])
    error_message = "callees must be security groups, never addresses such as 0.0.0.0/0."
  }
}

variable "target_groups" {
  description = "Target groups of the load balancer and the port that each leads to, by any name."
  type        = map(object({ arn = string, port = number }))
  default     = {}

  validation {
    condition     = alltrue([for group in values(var.target_groups) : contains(values(var.ports), group.port)])
    error_message = "target_groups must lead to one of ports."
  }
}
