output "security_group_id" {
  description = "Group of the tasks, for rules of those they call."
  value       = aws_security_group.this.id
}

output "name" {
  description = "Name of the service, a dimension of its metrics."
  value       = aws_ecs_service.this.name
}

output "log_group_name" {
  description = "Where the service's lines are."
  value       = aws_cloudwatch_log_group.this.name
}
