resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

# Names by which services find each other: http://api-live:8001.
resource "aws_service_discovery_http_namespace" "this" {
  name        = var.name
  description = "Services of ${var.name}"
}
