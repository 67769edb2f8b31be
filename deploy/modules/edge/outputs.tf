output "dns_name" {
  description = "Where the name of the service must lead."
  value       = aws_lb.this.dns_name
}

output "arn_suffix" {
  description = "The load balancer as a dimension of its metrics."
  value       = aws_lb.this.arn_suffix
}

output "security_group_id" {
  description = "Group of the load balancer, for the rules of those it calls."
  value       = aws_security_group.this.id
}

output "target_groups" {
  description = "Target groups with the port each leads to, as http_service takes them."
  value = {
    for name, group in aws_lb_target_group.this : name => { arn = group.arn, port = local.listens[name].target }
  }
  # A service cannot begin with a group that no listener leads to.
  depends_on = [aws_lb_listener.this]
}

output "target_group_suffixes" {
  description = "Target groups as dimensions of their metrics."
  value       = { for name, group in aws_lb_target_group.this : name => group.arn_suffix }
}
