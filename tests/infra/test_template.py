"""Test the properties that ARCHITECTURE.md promises of the template."""

import importlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import boto3
import pytest
from tests.support.templates import Resolver

import pages.core

Resources = dict[str, dict[str, Any]]


def of_type(resources: Resources, kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == kind}


def statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_function_has_its_own_role(resources: Resources) -> None:
    """A function can do what it needs, and nothing that another needs."""
    functions = of_type(resources, "AWS::Serverless::Function")
    roles = [function["Role"]["Fn::GetAtt"] for function in functions.values()]
    assert sorted(roles) == sorted(f"{name}Role.Arn" for name in functions)


def test_roles_have_inline_statements_only(resources: Resources) -> None:
    """Managed policies name every resource."""
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, name


def test_no_role_uses_a_bare_wildcard(resources: Resources) -> None:
    """Neither `*` as a resource nor a wildcard action."""
    policies = {name: {"Policies": [policy]} for name, policy in of_type(resources, "AWS::IAM::Policy").items()}
    for name, role in {**of_type(resources, "AWS::IAM::Role"), **policies}.items():
        for statement in statements(role):
            assert "*" not in listed(statement["Resource"]), name
            assert not [action for action in listed(statement["Action"]) if "*" in action], name


def test_every_statement_names_a_resource_of_this_stack(resources: Resources) -> None:
    """Each resource is a reference, never spelt out; a wildcard may only cover what is inside it."""
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for statement, resource in ((s, r) for s in statements(role) for r in listed(s["Resource"])):
            assert isinstance(resource, dict), (name, statement)
            text = resource.get("Fn::Sub")
            if text is not None and "*" in text:
                inside = ("/@connections/*", "/aws/lambda/*", ".Arn}/*", ".Arn}/segments/*", ".Arn}/logs/*")
                assert text.endswith(inside), (name, text)


def test_every_function_logs_to_a_group_with_retention(resources: Resources) -> None:
    """Logs that nobody deletes cost money forever."""
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert all("RetentionInDays" in group for group in groups.values())
    for name, function in of_type(resources, "AWS::Serverless::Function").items():
        assert function["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}Log"}
        assert f"{name}Log" in groups


def test_every_stream_mapping_is_bounded_and_keeps_failures(resources: Resources) -> None:
    """A poison record must neither block its shard nor vanish."""
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping")
    assert {str(mapping["EventSourceArn"]["Fn::GetAtt"]) for mapping in mappings.values()} == {
        "LogTable.StreamArn",
        "RegistryTable.StreamArn",
    }
    for mapping in mappings.values():
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert 0 < mapping["MaximumRetryAttempts"] <= 10
        assert 0 < mapping["MaximumRecordAgeInSeconds"] <= 86_400
        assert mapping["ParallelizationFactor"] == {"Ref": "StreamParallelism"}
        destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"]
        assert resources[destination.removesuffix(".Arn")]["Type"] == "AWS::S3::Bucket"


def test_no_dynamodb_stream_has_more_than_two_readers(resources: Resources) -> None:
    """A stream serves two readers a shard, and the second slot is reserved for alerts."""
    streams = [str(m["EventSourceArn"]) for m in of_type(resources, "AWS::Lambda::EventSourceMapping").values()]
    assert len(streams) == len(set(streams))


def answering_routes(resources: Resources) -> list[tuple[str, str]]:
    return [
        (api, route)
        for api, properties in of_type(resources, "AWS::Serverless::WebSocketApi").items()
        for route in properties["Routes"]
        if route not in {"$connect", "$disconnect"}
    ]


def test_every_answering_route_has_a_route_response(resources: Resources) -> None:
    """API Gateway drops a function's answer where none is declared, and an emulator would not show it."""
    declared = {
        (properties["ApiId"]["Ref"], properties["RouteId"]["Ref"])
        for properties in of_type(resources, "AWS::ApiGatewayV2::RouteResponse").values()
    }
    wanted = {(api, f"{api}{route.removeprefix('$').capitalize()}Route") for api, route in answering_routes(resources)}
    assert declared == wanted


def test_every_answering_route_selects_its_response(resources: Resources) -> None:
    """A route response alone is not enough: the route must select it."""
    for api, route in answering_routes(resources):
        spec = resources[api]["Properties"]["Routes"][route]
        assert spec["RouteResponseSelectionExpression"] == "$default", (api, route)


def test_route_responses_are_omitted_for_local_clouds_only(resources: Resources) -> None:
    """The emulator does not know the type; AWS needs it."""
    kind = "AWS::ApiGatewayV2::RouteResponse"
    assert {r.get("Condition") for r in resources.values() if r["Type"] == kind} == {"OnAws"}


def test_every_websocket_api_refuses_junk_before_a_function_runs(resources: Resources) -> None:
    """With an identity source, API Gateway itself refuses clients without a credential."""
    for properties in of_type(resources, "AWS::Serverless::WebSocketApi").values():
        assert properties["Auth"]["AuthType"] == "CUSTOM"
        assert properties["Auth"]["IdentitySource"]
        assert set(properties["Routes"]) >= {"$connect", "$disconnect", "$default"}


def test_every_http_route_is_authorized(resources: Resources) -> None:
    """No path is unauthenticated, except the viewer's own files, which have no secrets: people sign in with them."""
    for route in of_type(resources, "AWS::ApiGatewayV2::Route").values():
        if route["Target"] == {"Fn::Sub": "integrations/${PagesIntegration}"}:
            assert route["RouteKey"] in {"GET /", "GET /{file}", "GET /assets/{proxy+}"}
            continue
        assert route["AuthorizationType"] == "CUSTOM"
        assert route["AuthorizerId"]


def test_bodies_are_never_logged(resources: Resources) -> None:
    """Data traces would put container logs and tickets into CloudWatch; an access log with queries would too."""
    for properties in of_type(resources, "AWS::Serverless::WebSocketApi").values():
        assert properties["DefaultRouteSettings"]["DataTraceEnabled"] is False
        assert "AccessLogSettings" not in properties
    for stage in of_type(resources, "AWS::ApiGatewayV2::Stage").values():
        form = stage["AccessLogSettings"]["Format"].lower()
        assert "query" not in form
        assert "authorization" not in form


@pytest.mark.parametrize("table", ["LogTable", "RegistryTable"])
def test_tables_are_on_demand_with_generated_names_and_time_to_live(resources: Resources, table: str) -> None:
    """CloudFormation names them; they have a stream of new images and stay when the stack is deleted."""
    properties = resources[table]["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert "TableName" not in properties
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert resources[table]["DeletionPolicy"] == "RetainExceptOnCreate"


def test_registry_has_point_in_time_recovery(resources: Resources) -> None:
    """An operator's mistake must not lose who may read what."""
    recovery = resources["RegistryTable"]["Properties"]["PointInTimeRecoverySpecification"]
    assert recovery["PointInTimeRecoveryEnabled"] is True


def test_buckets_are_private_and_encrypted(resources: Resources) -> None:
    """No bucket is ever public; none answers over plain HTTP."""
    policies = of_type(resources, "AWS::S3::BucketPolicy").values()
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
        (policy,) = (p for p in policies if p["Bucket"] == {"Ref": name})
        statements = [s["Fn::If"][1] if "Fn::If" in s else s for s in policy["PolicyDocument"]["Statement"]]
        denied = [s for s in statements if s["Effect"] == "Deny"]
        assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": False}}


def test_viewer_is_served_with_a_strict_policy(resources: Resources) -> None:
    """Log text is hostile: no inline script or style, no framing, and connections to our own APIs only."""
    config = resources["ViewerHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    policy, _ = config["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"]
    directives = {words[0]: words[1:] for words in (part.split() for part in policy.split(";")) if words}
    assert directives["default-src"] == ["'none'"]
    assert directives["frame-ancestors"] == ["'none'"]
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    sources = list(itertools.chain(*directives.values()))
    assert "*" not in sources
    behaviours = resources["Distribution"]["Properties"]["DistributionConfig"]
    for behaviour in (behaviours["DefaultCacheBehavior"], *behaviours["CacheBehaviors"]):
        assert behaviour["ResponseHeadersPolicyId"] == {"Ref": "ViewerHeaders"}
        assert behaviour["ViewerProtocolPolicy"] in {"https-only", "redirect-to-https"}


def test_viewer_has_the_same_headers_without_cloudfront(resources: Resources) -> None:
    """Both send what the policy of headers says."""
    config = resources["ViewerHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = config["SecurityHeadersConfig"]
    transport = security["StrictTransportSecurity"]
    assert transport["IncludeSubdomains"] is True
    assert {
        "strict-transport-security": f"max-age={transport['AccessControlMaxAgeSec']}; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-frame-options": security["FrameOptions"]["FrameOption"],
        "referrer-policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        **{item["Header"].lower(): item["Value"] for item in config["CustomHeadersConfig"]["Items"]},
    } == pages.core.SECURITY_HEADERS
    variables = resources["Pages"]["Properties"]["Environment"]["Variables"]
    assert variables["CONTENT_SECURITY_POLICY"] == security["ContentSecurityPolicy"]["ContentSecurityPolicy"]


@pytest.mark.parametrize("base", ["", "http://127.0.0.1:4566/_aws/execute-api"])
def test_nothing_of_cloudfront_is_left_without_it(written_template: dict[str, Any], base: str) -> None:
    """GovCloud and China have no such types, and a reference to a missing resource fails a deployment."""
    resolver = Resolver(written_template, {"ViewerHosting": "api", "GatewayBase": base})
    found = resolver.resources()
    assert not [name for name, one in found.items() if one["Type"].startswith("AWS::CloudFront")]
    outputs = resolver.resolve({name: one["Value"] for name, one in written_template["Outputs"].items()})
    named = set(re.findall(r"\$\{([A-Za-z]+)", json.dumps([found, outputs])))
    assert {"Pages", "ViewerBucket"} <= named
    assert not named & (written_template["Resources"].keys() - found.keys())
    page = f"{base}/${{Http}}/" if base else "https://${Http}.execute-api.eu-west-1.amazonaws.com"
    assert outputs["ViewerUrl"] == page
    origin = found["Connect"]["Properties"]["Environment"]["Variables"]["VIEWER_ORIGINS"]
    assert base or origin == page


def test_regions_without_cloudfront_refuse_it_before_anything_is_created(written_template: dict[str, Any]) -> None:
    """By a rule of the template, which CloudFormation checks first."""
    rule = written_template["Rules"]["RegionHasCloudFront"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "ViewerHosting"}, "cloudfront"]}
    (one,) = rule["Assertions"]
    regions, region = one["Assert"]["Fn::Not"][0]["Fn::Contains"]
    assert region == {"Ref": "AWS::Region"}
    session: Any = boto3.Session()
    assert set(regions) == {
        name
        for partition in ("aws-us-gov", "aws-cn")
        for name in session.get_available_regions("cloudformation", partition_name=partition)
    }
    assert "ViewerHosting=api" in one["AssertDescription"]


def test_environment_names_equal_the_functions_settings(resources: Resources) -> None:
    """A setting that the template omits, or one that nothing reads, is a mistake."""
    for function in of_type(resources, "AWS::Serverless::Function").values():
        package = function["Handler"].partition(".")[0]
        settings = importlib.import_module(f"{package}.settings").Settings
        given = {name for name in function["Environment"]["Variables"] if not name.startswith("POWERTOOLS_")}
        assert given == {field.name.upper() for field in fields(settings)}, package


def test_functions_run_on_arm64_and_python_3_13_by_default(template: dict[str, Any]) -> None:
    """Only parameters change that for a local cloud."""
    parameters = template["Parameters"]
    assert parameters["PythonRuntime"]["Default"] == "python3.13"
    assert parameters["Architecture"]["Default"] == "arm64"
    assert parameters["GatewayBase"]["Default"] == ""


def test_every_parameter_is_described(template: dict[str, Any]) -> None:
    """`sam deploy --guided` shows nothing else."""
    grouped = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(itertools.chain(*(group["Parameters"] for group in grouped))) == sorted(template["Parameters"])
    assert all(parameter["Description"].endswith(".") for parameter in template["Parameters"].values())
