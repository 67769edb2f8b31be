mock_provider "aws" {}

variables {
  name                 = "api-live"
  environment_name     = "iris-test"
  image                = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/iris_api@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  repository_arn       = "arn:aws:ecr:eu-central-1:111122223333:repository/iris_api"
  ports                = { http = 8001 }
  ready_port           = 8001
  settings             = { IRIS_API_PORT = "8001" }
  kms_key_arn          = "arn:aws:kms:eu-central-1:111122223333:key/1"
  cpu                  = 512
  memory_mib           = 1024
  min_tasks            = 2
  max_tasks            = 4
  target_cpu_percent   = 50
  grace_seconds        = 10
  stop_timeout_seconds = 30
  log_retention_days   = 365
  cluster              = { arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/iris-test", name = "iris-test", namespace_arn = "arn:aws:servicediscovery:eu-central-1:111122223333:ns" }
  network              = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"], endpoints_security_group_id = "sg-9", s3_prefix_list_id = "pl-1" }
  callers              = { router = { security_group_id = "sg-1", port = 8001 } }
}

run "a_bad_version_goes_away_by_itself" {
  command = plan

  assert {
    condition     = one(aws_ecs_service.this.deployment_circuit_breaker).enable && one(aws_ecs_service.this.deployment_circuit_breaker).rollback
    error_message = "the circuit breaker must roll back"
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100
    error_message = "a new version must come before the old one goes"
  }
}

run "no_public_address" {
  command = plan

  assert {
    condition     = !one(aws_ecs_service.this.network_configuration).assign_public_ip
    error_message = "tasks must have no public address"
  }
}

run "scales_within_its_bounds" {
  command = plan

  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 2 && aws_appautoscaling_target.this.max_capacity == 4
    error_message = "autoscaling must keep to min_tasks and max_tasks"
  }

  assert {
    condition     = one(aws_appautoscaling_policy.cpu.target_tracking_scaling_policy_configuration).target_value == 50
    error_message = "autoscaling must follow the load"
  }
}

run "a_tag_is_refused" {
  command = plan
  variables {
    image = "registry.example.com/iris_api:latest"
  }
  expect_failures = [var.image]
}

run "no_tasks_are_refused" {
  command = plan
  variables {
    min_tasks = 0
  }
  expect_failures = [var.min_tasks]
}

run "fewer_at_most_than_at_least_is_refused" {
  command = plan
  variables {
    max_tasks = 1
  }
  expect_failures = [var.max_tasks]
}
