mock_provider "aws" {}

variables {
  name                     = "iris-test"
  vpc_id                   = "vpc-1"
  public_subnet_ids        = ["subnet-1", "subnet-2"]
  certificate_arn          = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
  client_cidrs             = ["0.0.0.0/0"]
  operator_cidrs           = ["203.0.113.0/24"]
  requests_per_client      = 20000
  access_log_days          = 90
  kms_key_arn              = "arn:aws:kms:eu-central-1:111122223333:key/1"
  log_retention_days       = 365
  is_protected             = true
  target_security_group_id = "sg-1"
}

run "https_alone" {
  command = plan

  assert {
    condition     = alltrue([for listener in aws_lb_listener.this : listener.protocol == "HTTPS"])
    error_message = "every listener must speak HTTPS"
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection
    error_message = "the load balancer must be strict, and must not vanish"
  }
}

run "nobody_but_operators_sees_the_report" {
  command = plan

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.sources : rule.cidr_ipv4 != "0.0.0.0/0" if rule.from_port == 8443
    ])
    error_message = "port 8443 must be closed to everybody else"
  }
}

run "without_operators_there_is_no_private_listener" {
  command = plan
  variables {
    operator_cidrs = []
  }

  assert {
    condition     = keys(aws_lb_listener.this) == ["public"]
    error_message = "without operators the report must not be reachable"
  }
}

run "http_is_refused" {
  command = plan
  variables {
    listener_protocol = "HTTP"
  }
  expect_failures = [var.listener_protocol]
}

run "report_for_everybody_is_refused" {
  command = plan
  variables {
    operator_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.operator_cidrs]
}
