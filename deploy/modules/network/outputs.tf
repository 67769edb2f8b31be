output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Where the load balancer is, one a zone."
  value       = [for zone in var.zones : aws_subnet.public[zone].id]
}

output "private_subnet_ids" {
  description = "Where tasks and store are, one a zone."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
}

output "endpoints_security_group_id" {
  description = "Group of the endpoints, for rules that let tasks reach them."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "Addresses of S3, for rules that let tasks fetch images."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}
