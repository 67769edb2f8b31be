# Who is told what, and when. Each alarm is a heading of deploy/runbook.md.

data "aws_caller_identity" "us" {}

data "aws_region" "here" {}

locals {
  namespace = var.name
  metrics   = { loss_percent = "Percent", queue_items = "Count", is_fail = "None", is_invalid = "None", exporter = "Count" }

  balancer = { LoadBalancer = var.load_balancer.arn_suffix }
  targets  = merge(local.balancer, { TargetGroup = var.load_balancer.target_group_suffix })

  defaults = {
    namespace = local.namespace
    dims      = {}
    stat      = "Maximum"
    compare   = "GreaterThanThreshold"
    threshold = 0
    minutes   = 1
    of        = 3
    datums    = 2
    missing   = "notBreaching"
  }

  on_balancer = {
    latency = {
      says      = "the slowest hundredth of the answers takes more than ${var.latency_ms} ms"
      namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", dims = local.targets
      stat      = "p99", threshold = var.latency_ms / 1000
    }
    unhealthy = {
      says      = "a task has not been ready for five minutes"
      namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dims = local.targets
      of        = 5, datums = 5
    }
    down = {
      says      = "no task is ready: nobody is answered"
      namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", dims = local.targets
      compare   = "LessThanThreshold", threshold = 1, of = 1, datums = 1, missing = "breaching"
    }
  }

  on_shadow = {
    shadow-loss = {
      says   = "more than ${var.loss_percent} % of the copies were lost"
      metric = "loss_percent", threshold = var.loss_percent
    }
    verdict-fail = {
      says   = "the shadow must not be promoted: a gate says FAIL"
      metric = "is_fail", of = 1, datums = 1
    }
    verdict-invalid = {
      says   = "the comparison cannot be believed: the verdict is INVALID"
      metric = "is_invalid", of = 1, datums = 1
    }
    exporter-silent = {
      says   = "nothing was heard of the comparison for ten minutes"
      metric = "exporter", stat = "Sum", compare = "LessThanThreshold", threshold = 1
      of     = 10, datums = 10, missing = "breaching"
    }
  }

  on_services = merge([
    for service in var.services : {
      "cpu-${service}" = {
        says      = "${service} has no processor left, though tasks are added from less on"
        namespace = "AWS/ECS", metric = "CPUUtilization", stat = "Average"
        dims      = { ClusterName = var.cluster_name, ServiceName = service }
        threshold = var.saturation_percent, of = 5, datums = 5
      }
      "memory-${service}" = {
        says      = "${service} has no memory left"
        namespace = "AWS/ECS", metric = "MemoryUtilization", stat = "Average"
        dims      = { ClusterName = var.cluster_name, ServiceName = service }
        threshold = var.saturation_percent, of = 5, datums = 5
      }
    }
  ]...)

  on_store = merge([
    for store in var.store_identifier : {
      store-disk = {
        says      = "the store has less than 4 GiB left"
        namespace = "AWS/RDS", metric = "FreeStorageSpace", stat = "Minimum"
        dims      = { DBInstanceIdentifier = store }
        compare   = "LessThanThreshold", threshold = 4294967296, missing = "breaching", minutes = 5
      }
      store-cpu = {
        says      = "the store has no processor left"
        namespace = "AWS/RDS", metric = "CPUUtilization", stat = "Average"
        dims      = { DBInstanceIdentifier = store }
        threshold = var.saturation_percent, minutes = 5
      }
    }
  ]...)

  alarms = {
    for name, alarm in merge(local.on_balancer, local.on_shadow, local.on_services, local.on_store) :
    name => merge(local.defaults, alarm)
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Alarms"
      Effect    = "Allow"
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.us.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "emails" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_log_metric_filter" "shadow" {
  for_each = local.metrics

  name           = "${var.name}-${each.key}"
  log_group_name = var.router_log_group_name
  pattern        = "{ $.${each.key} = * }"

  metric_transformation {
    name      = each.key
    namespace = local.namespace
    value     = "$.${each.key}"
    unit      = each.value
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.says}; see ${each.key} in deploy/runbook.md"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dims
  statistic           = startswith(each.value.stat, "p") ? null : each.value.stat
  extended_statistic  = startswith(each.value.stat, "p") ? each.value.stat : null
  comparison_operator = each.value.compare
  threshold           = each.value.threshold
  period              = 60 * each.value.minutes
  evaluation_periods  = each.value.of
  datapoints_to_alarm = each.value.datums
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "more than ${var.error_percent} % of the requests get a 5xx; see errors in deploy/runbook.md"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "share"
    expression  = "100 * (FILL(theirs, 0) + FILL(ours, 0)) / requests"
    label       = "5xx in percent"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      requests = "RequestCount"
      theirs   = "HTTPCode_Target_5XX_Count"
      ours     = "HTTPCode_ELB_5XX_Count"
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value
        dimensions  = local.balancer
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

locals {
  graphs = [
    { title = "Requests", stat = "Sum", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer.arn_suffix]] },
    {
      title = "Errors", stat = "Sum"
      metrics = [
        for metric in ["HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_4XX_Count"] :
        ["AWS/ApplicationELB", metric, "LoadBalancer", var.load_balancer.arn_suffix]
      ]
    },
    { title = "Time of an answer, p99", stat = "p99", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer.arn_suffix]] },
    {
      title = "Processor", stat = "Average"
      metrics = [
        for service in var.services : ["AWS/ECS", "CPUUtilization", "ClusterName", var.cluster_name, "ServiceName", service]
      ]
    },
    { title = "Copies lost, in percent", stat = "Maximum", metrics = [[local.namespace, "loss_percent"]] },
    { title = "Verdict FAIL or INVALID", stat = "Maximum", metrics = [[local.namespace, "is_fail"], [local.namespace, "is_invalid"]] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for number, graph in local.graphs : {
        type   = "metric"
        x      = 12 * (number % 2)
        y      = 6 * floor(number / 2)
        width  = 12
        height = 6
        properties = {
          title   = graph.title
          region  = data.aws_region.here.name
          stat    = graph.stat
          period  = 60
          view    = "timeSeries"
          metrics = graph.metrics
        }
      }
    ]
  })
}
