output "kms_key_arn" {
  description = "The key of the environment."
  value       = aws_kms_key.this.arn
}

output "secret_arns" {
  description = "ARN of each secret, by its name."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}
