# Yours: account, names, addresses. The example's are refused.
region          = "eu-central-1"
server_name     = "iris.example.org"
certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/example"
alarm_emails    = ["ops@example.org"]
operator_cidrs  = []
