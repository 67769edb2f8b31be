# One HTTP service: its tasks, how many there are, its roles, and who may call it.

locals {
  full_name = "${var.environment_name}-${var.name}"
  # The user that the images run as.
  owner = 10001

  log_options = {
    awslogs-group         = aws_cloudwatch_log_group.this.name
    awslogs-region        = data.aws_region.here.name
    awslogs-stream-prefix = var.name
  }

  settings = [for name in sort(keys(var.settings)) : { name = name, value = var.settings[name] }]
  secrets  = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
  files    = [for name in sort(keys(var.secret_files)) : { name = "FILE_${upper(name)}", valueFrom = var.secret_files[name] }]

  base = {
    image                  = var.image
    readonlyRootFilesystem = true
    privileged             = false
    logConfiguration       = { logDriver = "awslogs", options = local.log_options }
    mountPoints            = [{ sourceVolume = "data", containerPath = "/data", readOnly = false }]
    systemControls         = []
    volumesFrom            = []
    portMappings           = []
    environment            = []
  }

  prepare = merge(local.base, {
    name       = "prepare"
    essential  = false
    user       = "0"
    entryPoint = ["python3", "-c", file("${path.module}/prepare.py")]
    environment = concat(local.settings, [
      { name = "DATA_DIR", value = "/data" },
      { name = "OWNER", value = tostring(local.owner) },
    ])
    secrets = concat(local.secrets, local.files)
    # Root may give files away here, and nothing else.
    linuxParameters = {
      capabilities = {
        add = []
        drop = [
          "AUDIT_WRITE", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
          "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
        ]
      }
    }
  })

  service = merge(local.base, {
    name            = var.name
    essential       = true
    user            = "${local.owner}:${local.owner}"
    command         = var.command
    environment     = local.settings
    secrets         = local.secrets
    stopTimeout     = var.stop_timeout_seconds
    linuxParameters = { initProcessEnabled = false, capabilities = { add = [], drop = ["ALL"] } }
    ulimits         = [{ name = "nofile", softLimit = var.open_files, hardLimit = var.open_files }]
    dependsOn       = [{ containerName = "prepare", condition = "SUCCESS" }]
    # ECS does not look at the image's own HEALTHCHECK: this is the same.
    healthCheck = {
      command     = ["CMD", "python3", "/usr/local/bin/is_ready.py", tostring(var.ready_port)]
      interval    = 5
      timeout     = 3
      retries     = 3
      startPeriod = 10
    }
    portMappings = [
      for name in sort(keys(var.ports)) : {
        name          = name
        containerPort = var.ports[name]
        hostPort      = var.ports[name]
        protocol      = "tcp"
        appProtocol   = "http"
      }
    ]
  })

  exporter = merge(local.base, {
    name            = "exporter"
    essential       = false
    user            = "${local.owner}:${local.owner}"
    entryPoint      = ["python3", "-c", var.exporter]
    linuxParameters = { capabilities = { add = [], drop = ["ALL"] } }
    dependsOn       = [{ containerName = var.name, condition = "START" }]
  })

  # Encoded one by one: they do not have the same type.
  containers = concat(
    [jsonencode(local.prepare), jsonencode(local.service)],
    var.exporter == "" ? [] : [jsonencode(local.exporter)],
  )
}

data "aws_region" "here" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.environment_name}/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.full_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mib
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = "[${join(",", local.containers)}]"

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  volume {
    name = "data"
  }
}

resource "aws_ecs_service" "this" {
  name                               = var.name
  cluster                            = var.cluster.arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.min_tasks
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_execute_command             = false
  wait_for_steady_state              = true
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = length(var.target_groups) > 0 ? 60 : null

  # A version whose tasks do not become ready goes away by itself.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.network.private_subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  service_connect_configuration {
    enabled   = true
    namespace = var.cluster.namespace_arn

    # Behind a load balancer nobody looks a service up; it only looks up others.
    dynamic "service" {
      for_each = length(var.target_groups) > 0 ? {} : var.ports

      content {
        port_name      = service.key
        discovery_name = "${var.name}-${service.key}"

        client_alias {
          dns_name = var.name
          port     = service.value
        }
      }
    }
  }

  dynamic "load_balancer" {
    for_each = var.target_groups

    content {
      target_group_arn = load_balancer.value.arn
      container_name   = var.name
      container_port   = load_balancer.value.port
    }
  }

  timeouts {
    create = "15m"
    update = "15m"
  }

  lifecycle {
    # Autoscaling's to change.
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.execution]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${var.cluster.name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "${local.full_name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = var.target_cpu_percent
    # Up at once, down with patience: traffic that fell may come back.
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# ---- roles -----------------------------------------------------------------

resource "aws_iam_role" "execution" {
  name        = "${local.full_name}-execution"
  description = "Starts tasks: fetches the image, opens the secrets, opens the log"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  name = "start-tasks"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        # AWS knows no narrower resource for this one.
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [var.repository_arn]
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
      ], length(var.secrets) + length(var.secret_files) == 0 ? [] : [
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = distinct(sort(concat(values(var.secrets), values(var.secret_files))))
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.kms_key_arn]
      },
    ])
  })
}

resource "aws_iam_role" "task" {
  name        = "${local.full_name}-task"
  description = "What the process itself may do in AWS: nothing"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

# ---- who may call, and who is called -----------------------------------------

resource "aws_security_group" "this" {
  name        = local.full_name
  description = "Tasks of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = local.full_name }
}

resource "aws_vpc_security_group_ingress_rule" "callers" {
  for_each = var.callers

  security_group_id            = aws_security_group.this.id
  description                  = "Calls of ${each.key}"
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "callees" {
  for_each = merge(var.callees, {
    endpoints = { security_group_id = var.network.endpoints_security_group_id, port = 443 }
  })

  security_group_id            = aws_security_group.this.id
  description                  = "Calls to ${each.key}"
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "images" {
  security_group_id = aws_security_group.this.id
  description       = "Layers of images, in S3"
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
