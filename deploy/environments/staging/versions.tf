terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # The bucket is yours: backend.hcl names it.
  backend "s3" {
    key          = "staging/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  # What everything is found, and paid, by.
  default_tags {
    tags = {
      environment = "iris-staging"
      project     = "iris"
      managed_by  = "terraform"
    }
  }
}
