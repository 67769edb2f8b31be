variable "name" {
  description = "Name of the environment; begins the name of each repository."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name must be 3 to 20 characters of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "repositories" {
  description = "Names of the images."
  type        = set(string)

  validation {
    condition     = length(var.repositories) > 0
    error_message = "repositories must name one image at least."
  }

  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^[a-z][a-z0-9_]*$", name))])
    error_message = "repositories must be names such as iris_api, without registry, tag or digest."
  }
}

variable "keep_images" {
  description = "Tagged images that are kept of each repository; the way back is among them."
  type        = number

  validation {
    condition     = var.keep_images >= 10 && var.keep_images <= 1000
    error_message = "keep_images must be 10 to 1000: with fewer, the image to roll back to may be gone."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "is_protected" {
  description = "Whether it refuses to be destroyed, with what it holds."
  type        = bool
}
