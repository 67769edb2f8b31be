# Where the state is kept; README.md says how to make the bucket.
bucket = "iris-terraform-state-000000000000"
region = "eu-central-1"
