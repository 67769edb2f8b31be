output "address" {
  description = "Where the name of the service must lead: a CNAME or an alias record."
  value       = module.stack.address
}

output "report_url" {
  description = "Where operators find the report."
  value       = module.stack.report_url
}

output "repositories" {
  description = "Where images are pushed, by the name of the image."
  value       = module.stack.repositories
}

output "alarms" {
  description = "Every alarm; the runbook explains each."
  value       = module.stack.alarms
}

output "cluster" {
  description = "Where the services run."
  value       = module.stack.cluster
}
