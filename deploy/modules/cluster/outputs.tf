output "arn" {
  description = "Where tasks run."
  value       = aws_ecs_cluster.this.arn
}

output "name" {
  description = "Its name, a dimension of its metrics."
  value       = aws_ecs_cluster.this.name
}

output "namespace_arn" {
  description = "Where services look each other up."
  value       = aws_service_discovery_http_namespace.this.arn
}
