# One key encrypts what an environment keeps: logs, images, secrets, store, alarms.

data "aws_caller_identity" "us" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  account = data.aws_caller_identity.us.account_id
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: logs, images, secrets, store and alarms"
  enable_key_rotation     = true
  deletion_window_in_days = max(var.recovery_days, 7)
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without it nobody could ever change the key; IAM says who of the account may.
        Sid       = "Account"
        Effect    = "Allow"
        Action    = "kms:*"
        Resource  = "*"
        Principal = { AWS = "arn:${data.aws_partition.here.partition}:iam::${local.account}:root" }
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
        Resource  = "*"
        Principal = { Service = "logs.${data.aws_region.here.name}.amazonaws.com" }
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.here.partition}:logs:${data.aws_region.here.name}:${local.account}:log-group:*"
          }
        }
      },
      {
        Sid      = "Alarms"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = "*"
        Principal = {
          Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com"]
        }
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57: a key of a client is known to that client; the runbook rotates with both in force
  for_each = var.names

  name                    = "${var.name}/${each.value}"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.recovery_days
}

# Written once and never read back: raise the version to have Terraform write again.
resource "aws_secretsmanager_secret_version" "first" {
  for_each = var.names

  secret_id                = aws_secretsmanager_secret.this[each.value].id
  secret_string_wo         = var.first_values[each.value]
  secret_string_wo_version = 1
}
