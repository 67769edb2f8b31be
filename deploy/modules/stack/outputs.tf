output "address" {
  description = "Where the name of the service must lead: a CNAME or an alias record."
  value       = module.edge.dns_name
}

output "report_url" {
  description = "Where operators find the report."
  value       = "https://${var.server_name}:8443"
}

output "repositories" {
  description = "Where images are pushed, by the name of the image."
  value       = module.registry.urls
}

output "alarms" {
  description = "Every alarm; the runbook explains each."
  value       = module.observability.alarm_names
}

output "cluster" {
  description = "Where the services run."
  value       = module.cluster.name
}
