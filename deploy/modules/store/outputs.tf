output "address" {
  description = "Host that the store listens on, port 5432."
  value       = aws_db_instance.this.address
}

output "identifier" {
  description = "The store as a dimension of its metrics."
  value       = aws_db_instance.this.identifier
}

output "security_group_id" {
  description = "Group of the store, for the rules of those that call it."
  value       = aws_security_group.this.id
}
