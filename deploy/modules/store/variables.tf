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

variable "private_subnet_ids" {
  description = "Where the store is, one a zone."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "private_subnet_ids must be 2 or more, one a zone."
  }
}

variable "client_security_group_id" {
  description = "Group of the tasks that may open the store: the router's."
  type        = string

  validation {
    condition     = can(regex("^sg-", var.client_security_group_id))
    error_message = "client_security_group_id must be a security group, never an address such as 0.0.0.0/0."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the store."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "password" {
  description = "First password; later ones are put by people and are not in the state."
  type        = string
  ephemeral   = true

  validation {
    condition     = length(var.password) >= 24
    error_message = "password must be 24 characters or more."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.password))
    error_message = "password must be of A-Z, a-z, 0-9, _ and -."
  }
}

variable "instance_class" {
  description = "Size of the server."
  type        = string

  validation {
    condition     = can(regex("^db\\.(t4g|m[67]g|r[67]g)\\.", var.instance_class))
    error_message = "instance_class must be of db.t4g, db.m6g, db.m7g, db.r6g or db.r7g: the price list has these."
  }
}

variable "storage_gib" {
  description = "Disk at first."
  type        = number

  validation {
    condition     = var.storage_gib >= 20
    error_message = "storage_gib must be 20 or more."
  }
}

variable "max_storage_gib" {
  description = "Disk that it may grow to."
  type        = number

  validation {
    condition     = var.max_storage_gib > var.storage_gib
    error_message = "max_storage_gib must be more than storage_gib: a full disk stops the comparison."
  }
}

variable "backup_days" {
  description = "Days to which the store can be restored."
  type        = number

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "backup_days must be 7 to 35: with 0 there is no backup."
  }
}

variable "is_protected" {
  description = "Whether it refuses to be destroyed, with what it holds."
  type        = bool
}
