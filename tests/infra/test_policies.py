"""Test rules that AWS keeps, and an emulator or the template's linter forgives."""

from __future__ import annotations

import re
from typing import Final

import pytest
from tests.support.templates import PSEUDO, Document, Resolver

Resources = dict[str, Document]

REGIONS: Final = ("us-east-1", "ap-southeast-7", "us-isob-east-1", "eusc-de-east-1")
LONGEST_STACK_NAME: Final = "a" * 128

CACHED_ERRORS: Final = {400, 403, 404, 405, 414, 500, 501, 502, 503, 504}
"""The errors that CloudFront keeps for 10 s unless told otherwise.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
"""


def of_type(resources: Resources, kind: str) -> Resources:
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def resolved(template: Document, **pseudo: str) -> Resources:
    return Resolver(template, {}, {**PSEUDO, **{f"AWS::{name}": value for name, value in pseudo.items()}}).resources()


def global_names(resources: Resources) -> dict[str, str]:
    """Return the names that must be unique in an account over all regions, by logical id."""
    configs = {
        "AWS::CloudFront::OriginAccessControl": "OriginAccessControlConfig",
        "AWS::CloudFront::ResponseHeadersPolicy": "ResponseHeadersPolicyConfig",
        "AWS::CloudFront::CachePolicy": "CachePolicyConfig",
        "AWS::CloudFront::OriginRequestPolicy": "OriginRequestPolicyConfig",
        "AWS::CloudFront::Function": None,
        "AWS::IAM::Role": None,
        "AWS::IAM::User": None,
        "AWS::IAM::Group": None,
        "AWS::IAM::InstanceProfile": None,
        "AWS::IAM::ManagedPolicy": None,
        "AWS::S3::Bucket": None,
        "AWS::CloudWatch::Dashboard": None,
    }
    fields = ("Name", "RoleName", "UserName", "GroupName", "InstanceProfileName", "ManagedPolicyName", "BucketName")
    found = {}
    for logical, resource in resources.items():
        if resource["Type"] in configs:
            config = configs[resource["Type"]]
            properties = resource.get("Properties", {})
            names = [
                value
                for field in (*fields, "DashboardName")
                if (value := (properties[config] if config else properties).get(field))
            ]
            found.update(dict.fromkeys([logical], names[0]) if names else {})
    return found


def test_global_name_differs_by_region_and_stack(template: Document) -> None:
    """The second of two regions, or of two stacks, would fail to deploy."""
    here = global_names(resolved(template))
    assert set(here) == {"ViewerAccess", "ViewerHeaders"}
    other_stack = global_names(resolved(template, StackId=str(PSEUDO["AWS::StackId"]).replace("logferry/1", "other/2")))
    for name, value in here.items():
        assert PSEUDO["AWS::Region"] in value, name
        assert other_stack[name] != value, name


@pytest.mark.parametrize("region", REGIONS)
def test_name_fits_its_limit_in_every_region_and_for_every_stack_name(template: Document, region: str) -> None:
    """An access control's name has 64 characters at most, a header policy's comment 128, a log group's name 512."""
    stack = (
        f"arn:aws:cloudformation:{region}:123456789012:stack/{LONGEST_STACK_NAME}/1c2fa620-982a-11e3-aff7-50e2416294e0"
    )
    resources = resolved(template, Region=region, StackName=LONGEST_STACK_NAME, StackId=stack)
    assert max(len(name) for name in global_names(resources).values()) <= 64
    headers = resources["ViewerHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    assert len(headers["Comment"]) <= 128
    assert len(resources["ViewerAccess"]["Properties"]["OriginAccessControlConfig"]["Description"]) <= 256
    assert len(resources["HttpLog"]["Properties"]["LogGroupName"]) <= 512


def test_every_bucket_is_retained_or_emptied(resources: Resources) -> None:
    """S3 deletes only empty buckets, so `sam delete` would fail at any other."""
    empties = resources["PublishedViewer"]["Properties"]["Empties"]["Fn::If"]
    assert empties[0] == "OnAws"
    emptied = {one["Ref"] for one in empties[1]}
    emptied.add(resources["Publish"]["Properties"]["Environment"]["Variables"]["VIEWER_BUCKET"]["Ref"])
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        assert (str(bucket.get("DeletionPolicy", "")).startswith("Retain")) != (name in emptied), name


def test_publish_serves_one_custom_resource(resources: Resources) -> None:
    """Version 0.1.0's publish empties the viewer's bucket whatever resource is deleted.

    It would do so for a second one, which the roll-back of an upgrade from 0.1.0 deletes.
    """
    served = [name for name, one in resources.items() if one["Type"].startswith("Custom::")]
    assert served == ["PublishedViewer"]


def test_emptier_may_list_and_delete(resources: Resources) -> None:
    """Of each bucket that the function empties."""
    (policy,) = resources["PublishRole"]["Properties"]["Policies"]
    allowed = {
        (action, str(place.get("Fn::Sub") or f"${{{place['Fn::GetAtt']}}}"))
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
        for place in (statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]])
    }
    for bucket in ("ViewerBucket", "FailureBucket"):
        assert {("s3:ListBucket", f"${{{bucket}.Arn}}"), ("s3:DeleteObject", f"${{{bucket}.Arn}}/*")} <= allowed


def test_writers_of_a_bucket_are_deleted_before_it_is_emptied(resources: Resources) -> None:
    """CloudFormation deletes what depends on a resource before the resource."""
    writers = {
        name: one
        for name, one in resources.items()
        if one.get("Properties", {}).get("DestinationConfig", {}).get("OnFailure")
    }
    assert set(writers) == {"BroadcastBatches", "BroadcastRegistry", "ArchiveRetries"}
    assert {one["DependsOn"] for one in writers.values()} == {"PublishedViewer"}


def test_every_on_failure_destination_may_be_written_whole(resources: Resources) -> None:
    """When Lambda saves a destination, it may check the function's role against any key of the bucket."""
    for name, one in resources.items():
        if "DestinationConfig" in one.get("Properties", {}):
            function = one["Properties"]["FunctionName"]
            role = (function.get("Ref") or function["Fn::GetAtt"].removesuffix(".Arn")) + "Role"
            statements = resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            puts = [one["Resource"] for one in statements if one["Action"] == "s3:PutObject"]
            assert {"Fn::Sub": "${FailureBucket.Arn}/*"} in puts, name


def test_cloudfront_keeps_no_error(resources: Resources) -> None:
    """An error is cached under its path alone, so that one reader's would become everybody's."""
    for distribution in of_type(resources, "AWS::CloudFront::Distribution").values():
        errors = distribution["Properties"]["DistributionConfig"]["CustomErrorResponses"]
        assert {one["ErrorCode"] for one in errors} == CACHED_ERRORS
        assert {one["ErrorCachingMinTTL"] for one in errors} == {0}


def test_detailed_metrics_have_a_reader(resources: Resources, watch: Document) -> None:
    """API Gateway's metrics by route cost $0.30 a month each, and this template's alarms read none."""
    read = re.search("""["']Name["']: ["'](Route|Method|Resource)["']|"(Route|Method|Resource)" *,""", str(watch))
    settings = [
        one["Properties"]["DefaultRouteSettings"]
        for kind in ("AWS::Serverless::WebSocketApi", "AWS::ApiGatewayV2::Stage")
        for one in of_type(resources, kind).values()
    ]
    assert {one["DetailedMetricsEnabled"] for one in settings} == {bool(read)}


def test_log_group_that_a_service_writes_to_has_the_prefix_for_services(resources: Resources) -> None:
    """Other groups are listed in one policy of 5,120 characters, which fills up in accounts with many of them."""
    for name, stage in of_type(resources, "AWS::ApiGatewayV2::Stage").items():
        group = stage["Properties"]["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"].removesuffix(".Arn")
        text = resources[group]["Properties"]["LogGroupName"]["Fn::Sub"]
        assert text.startswith("/aws/vendedlogs/"), name
        assert "${AWS::StackName}" in text, name
