"""
A cloud on this machine: moto's server, and the few operations that it lacks.

What is added only remembers what it is told and tells it again: anomaly monitors, tags
of budgets and of autoscaling, descriptions of rules, parameters of a database, and
those arguments of an ECS service that moto forgets. A service runs as many tasks as are
asked for.

usage: cloud.py PORT
"""

import json
import os
import sys
import threading
import uuid

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.budgets.responses import BudgetsResponse
from moto.ce.responses import CostExplorerResponse
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses.security_groups import SecurityGroups
from moto.ecs.responses import EC2ContainerServiceResponse as EcsResponse
from moto.rds.models import DBParameterGroup, RDSBackend
from moto.server import ThreadedMotoServer

ANOMALIES = {"Monitor": {}, "Subscription": {}}
BUDGET_TAGS = {}
TARGET_TAGS = {}
FORGOTTEN_BY_ECS = [
    "availabilityZoneRebalancing",
    "deploymentConfiguration",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
    "networkConfiguration",
    "serviceConnectConfiguration",
]


def remember_anomalies(kind):
    """Give Cost Explorer the four operations on anomaly monitors or subscriptions."""
    kept, key, arn = ANOMALIES[kind], f"Anomaly{kind}", f"{kind}Arn"
    name = kind.lower()

    def create(self):
        document = json.loads(self.body)[key]
        identity = f"arn:aws:ce::{self.current_account}:anomaly{name}/{uuid.uuid4()}"
        kept[identity] = {**document, arn: identity, "AccountId": self.current_account}
        tags = json.loads(self.body).get("ResourceTags") or []
        self.ce_backend.tag_resource(identity, tags)
        return json.dumps({arn: identity})

    def get(self):
        asked = json.loads(self.body).get(f"{arn}List") or list(kept)
        found = [kept[identity] for identity in asked if identity in kept]
        return json.dumps({f"{key}s": found})

    def update(self):
        document = json.loads(self.body)
        kept[document[arn]].update(document)
        return json.dumps({arn: document[arn]})

    def delete(self):
        kept.pop(json.loads(self.body)[arn])
        return json.dumps({})

    for verb, method in {"create": create, "update": update, "delete": delete}.items():
        setattr(CostExplorerResponse, f"{verb}_anomaly_{name}", method)
    setattr(CostExplorerResponse, f"get_anomaly_{name}s", get)


def remember_budget_tags():
    """Give Budgets what the provider asks besides the budget itself."""

    def list_tags_for_resource(self):
        kept = BUDGET_TAGS.get(self._get_param("ResourceARN"), {})
        return json.dumps(
            {"ResourceTags": [{"Key": k, "Value": v} for k, v in kept.items()]}
        )

    def tag_resource(self):
        kept = BUDGET_TAGS.setdefault(self._get_param("ResourceARN"), {})
        kept.update((t["Key"], t["Value"]) for t in self._get_param("ResourceTags"))
        return json.dumps({})

    def describe_subscribers_for_notification(self):
        asked = self._get_param("Notification")
        budgets = self.backend.budgets[self._get_param("AccountId")]
        for one in budgets[self._get_param("BudgetName")].notifications:
            if all(one.details[part] == value for part, value in asked.items()):
                return json.dumps({"Subscribers": one.subscribers})
        return json.dumps({"Subscribers": []})

    for method in (
        list_tags_for_resource,
        tag_resource,
        describe_subscribers_for_notification,
    ):
        setattr(BudgetsResponse, method.__name__, method)
    create = BudgetsResponse.create_budget

    def create_budget(self):
        name = self._get_param("Budget")["BudgetName"]
        arn = f"arn:aws:budgets::{self.current_account}:budget/{name}"
        tags = self._get_param("ResourceTags") or []
        BUDGET_TAGS[arn] = {tag["Key"]: tag["Value"] for tag in tags}
        return create(self)

    BudgetsResponse.create_budget = create_budget


def remember_target_tags():
    """Give autoscaling's targets the tags that they were registered with."""
    register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(self):
        answer = register(self)
        if tags := self._get_param("Tags"):
            TARGET_TAGS[json.loads(answer)["ScalableTargetARN"]] = tags
        return answer

    def list_tags_for_resource(self):
        return json.dumps({"Tags": TARGET_TAGS.get(self._get_param("ResourceARN"), {})})

    ApplicationAutoScalingResponse.register_scalable_target = register_scalable_target
    ApplicationAutoScalingResponse.list_tags_for_resource = list_tags_for_resource


def remember_rule_descriptions():
    """Keep what a rule of a security group says of itself, whatever it refers to."""
    theirs = SecurityGroupRule.description

    def description(self):
        return getattr(self, "told", None) or theirs.fget(self)

    SecurityGroupRule.description = property(description)
    for name in ("authorize_security_group_egress", "authorize_security_group_ingress"):

        def authorize(self, theirs=getattr(SecurityGroups, name)):
            result = theirs(self)
            for permission in self._get_param("IpPermissions", []):
                pairs = permission.get("UserIdGroupPairs", [])
                for source in pairs + permission.get("PrefixListIds", []):
                    for rule in result.result["SecurityGroupRules"]:
                        rule.told = source.get("Description")
            return result

        setattr(SecurityGroups, name, authorize)


def remember_databases():
    """Keep who set a parameter, and whether a database is watched."""
    update, create = DBParameterGroup.update_parameters, RDSBackend.create_db_instance

    def update_parameters(self, parameters):
        update(self, [{**one, "Source": "user"} for one in parameters])

    def create_db_instance(self, asked):
        database = create(self, asked)
        database.performance_insights_enabled = asked.get("enable_performance_insights")
        key = asked.get("performance_insights_kms_key_id")
        database.performance_insights_kms_key_id = key
        return database

    DBParameterGroup.update_parameters = update_parameters
    RDSBackend.create_db_instance = create_db_instance


def refuse_the_unknown():
    """Answer 400 to what moto does not know: clients try again after its 500."""
    call = BaseResponse.call_action

    def call_action(self):
        try:
            return call(self)
        except NotImplementedError as error:
            print(error, file=sys.stderr, flush=True)
            body = json.dumps({"__type": "UnknownOperation", "message": str(error)})
            return 400, self.response_headers, body

    BaseResponse.call_action = call_action


def remember_services():
    """Keep all that ECS is told of a service, and run its tasks at once."""

    def settle(self, service):
        for name in FORGOTTEN_BY_ECS:
            value = self._get_param(name)
            if value is not None:
                setattr(service, camelcase_to_underscores(name), value)
        service.running_count, service.pending_count = service.desired_count, 0
        for deployment in service.deployments:
            deployment["taskDefinition"] = service.task_definition
            deployment["runningCount"] = service.desired_count
            deployment["desiredCount"] = service.desired_count
            deployment["pendingCount"] = 0
            deployment["rolloutState"] = "COMPLETED"
            deployment["serviceConnectConfiguration"] = getattr(
                service, "service_connect_configuration", None
            )
        return ActionResult({"service": service})

    for name in ("create_service", "update_service"):
        theirs = getattr(EcsResponse, name)

        def method(self, theirs=theirs):
            return settle(self, theirs(self).result["service"])

        setattr(EcsResponse, name, method)


def main(port):
    """Serve until the process is ended."""
    # The store's monitoring has a policy of Amazon's own.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    remember_anomalies("Monitor")
    remember_anomalies("Subscription")
    remember_budget_tags()
    remember_target_tags()
    remember_rule_descriptions()
    remember_databases()
    refuse_the_unknown()
    remember_services()
    ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
