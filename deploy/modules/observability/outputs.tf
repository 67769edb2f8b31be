output "topic_arn" {
  description = "Where alarms are told."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "Every alarm; each is explained in deploy/runbook.md."
  value       = sort(concat(keys(local.alarms), ["errors"]))
}

output "exporter" {
  description = "Python that says once a minute how the comparison goes; runs beside the router."
  value       = file("${path.module}/export.py")
}
