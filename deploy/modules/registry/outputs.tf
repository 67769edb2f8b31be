output "urls" {
  description = "Address of each repository, by the name of its image."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "arns" {
  description = "ARN of each repository, by the name of its image."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}
