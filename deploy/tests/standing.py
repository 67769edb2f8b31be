"""What stands in a cloud, asked by boto3 and not by Terraform."""

import json


def what_stands(client):
    """Return everything that the tests have a question to."""
    return {
        "listeners": listeners(client("elbv2")),
        "targets": client("elbv2").describe_target_groups()["TargetGroups"],
        "definitions": definitions(client("ecs")),
        "services": services(client("ecs")),
        # Autoscaling makes some of its own.
        "alarms": client("cloudwatch").describe_alarms(AlarmNamePrefix="iris-")[
            "MetricAlarms"
        ],
        "policies": policies(client("iam")),
        "rules": client("ec2").describe_security_group_rules()["SecurityGroupRules"],
        "subnets": client("ec2").describe_subnets(
            Filters=[{"Name": "tag-key", "Values": ["environment"]}]
        )["Subnets"],
        "nat": client("ec2").describe_nat_gateways()["NatGateways"],
        "repositories": client("ecr").describe_repositories()["repositories"],
        "groups": client("logs").describe_log_groups()["logGroups"],
        "buckets": [b["Name"] for b in client("s3").list_buckets()["Buckets"]],
        "databases": client("rds").describe_db_instances()["DBInstances"],
        "scaling": client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="ecs"
        )["ScalableTargets"],
        "budgets": client("budgets").describe_budgets(AccountId="123456789012")[
            "Budgets"
        ],
        "secrets": client("secretsmanager").list_secrets()["SecretList"],
        "subscriptions": client("sns").list_subscriptions()["Subscriptions"],
    }


def listeners(elb):
    """Return the listeners of every load balancer."""
    balancers = elb.describe_load_balancers()["LoadBalancers"]
    return [
        one
        for balancer in balancers
        for one in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])[
            "Listeners"
        ]
    ]


def services(ecs):
    """Return every service by its name."""
    found = {}
    for cluster in ecs.list_clusters()["clusterArns"]:
        names = ecs.list_services(cluster=cluster)["serviceArns"]
        if names:
            for one in ecs.describe_services(cluster=cluster, services=names)[
                "services"
            ]:
                found[one["serviceName"]] = one
    return found


def definitions(ecs):
    """Return the task definition that each service runs, by the service's name."""
    return {
        name: ecs.describe_task_definition(taskDefinition=service["taskDefinition"])[
            "taskDefinition"
        ]
        for name, service in services(ecs).items()
        if service["status"] == "ACTIVE"
    }


def policies(iam):
    """Return the statements of every role, by the role's name."""
    found = {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        found[name] = []
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)
            document = document["PolicyDocument"]
            if isinstance(document, str):
                document = json.loads(document)
            found[name] += document["Statement"]
    return found
