mock_provider "aws" {
  # The provider reads ARNs, so this one must be real.
  mock_data "aws_partition" {
    defaults = {
      partition = "aws"
    }
  }
}

variables {
  name                     = "iris-test"
  vpc_id                   = "vpc-1"
  private_subnet_ids       = ["subnet-1", "subnet-2"]
  client_security_group_id = "sg-1"
  kms_key_arn              = "arn:aws:kms:eu-central-1:111122223333:key/1"
  password                 = "0123456789abcdef01234567"
  instance_class           = "db.m7g.large"
  storage_gib              = 50
  max_storage_gib          = 500
  backup_days              = 14
  is_protected             = true
}

run "encrypted_backed_up_and_private" {
  command = plan

  assert {
    condition     = aws_db_instance.this.storage_encrypted && !aws_db_instance.this.publicly_accessible
    error_message = "the store must be encrypted and private"
  }

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.backup_retention_period == 14
    error_message = "the store must outlive a zone and a mistake"
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection
    error_message = "the store must not vanish"
  }
}

run "no_backup_is_refused" {
  command = plan
  variables {
    backup_days = 0
  }
  expect_failures = [var.backup_days]
}
