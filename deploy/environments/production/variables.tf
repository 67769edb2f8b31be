# What is handed on to modules/stack, which says what may be in it.

variable "region" {
  description = "Where everything is."
  type        = string
}

variable "server_name" {
  description = "Name that clients call, which the certificate is for."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of server_name, in the same region."
  type        = string
}

variable "alarm_emails" {
  description = "Who is told of alarms and of cost."
  type        = list(string)
}

variable "operator_cidrs" {
  description = "Addresses that may see the report; empty for nobody."
  type        = list(string)
}

variable "images" {
  description = "Digest of each image, and the pin of the model that is in it; `tox run -e deploy` writes it."
  type        = map(object({ digest = string, pin = string }))
}

variable "first_values" {
  description = "What the secrets hold at first; `tox run -e deploy` makes them up and never shows them."
  type        = object({ api_keys = string, control_keys = string, first_api_key = string, store_password = string })
  ephemeral   = true
}

variable "is_protected" {
  description = "Whether what holds data refuses to be destroyed; `destroy` lifts it first."
  type        = bool
  default     = true
}
