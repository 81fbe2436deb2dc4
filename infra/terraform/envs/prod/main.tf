terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Bucket and key of the state are given at init: terraform init -backend-config=…
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }
}

provider "aws" {
  region = var.region

  # Only for a local S3 server in tests; empty means AWS itself.
  s3_use_path_style           = var.endpoint != ""
  skip_credentials_validation = var.endpoint != ""
  skip_requesting_account_id  = var.endpoint != ""
  skip_metadata_api_check     = var.endpoint != ""
  skip_region_validation      = var.endpoint != ""

  dynamic "endpoints" {
    for_each = var.endpoint == "" ? [] : [var.endpoint]
    content {
      s3  = endpoints.value
      iam = endpoints.value
      kms = endpoints.value
      sts = endpoints.value
    }
  }
}

module "lake" {
  source = "../../modules/lake"

  bucket             = var.bucket
  environment        = "prod"
  trusted_principals = var.trusted_principals
  landing_days       = 90
  quarantine_days    = 365
  noncurrent_days    = 90
}

output "lake" {
  value = module.lake.lake
}

output "roles" {
  value = module.lake.roles
}
