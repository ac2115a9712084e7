"""Test that the translated template is valid in every region, in the form that the region can have.

cfn-lint has the resource types of each region, with their schemas. Regions with the same schemas for the template's
types give the same findings, so one region of each kind is linted by `make check` and `make test`, and all by
`make chaos`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from importlib.resources import files
from typing import Final

import cfnlint.api  # type: ignore[import-untyped]
import pytest
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]
from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]
from tests.support import templates
from tests.support.templates import Document
from tests.support.translation import specialise, translate

PROVIDERS: Final = files("cfnlint") / "data" / "schemas" / "providers"

WITHOUT_CLOUDFRONT: Final = {
    "cn-north-1": "CloudFormation in China has no AWS::CloudFront::OriginAccessControl",
    "cn-northwest-1": "CloudFormation in China has no AWS::CloudFront::OriginAccessControl",
    "us-gov-east-1": "CloudFormation in GovCloud has no resource type of CloudFront",
    "us-gov-west-1": "CloudFormation in GovCloud has no resource type of CloudFront",
}
"""The regions in which the viewer cannot be served by CloudFront, with the reason. The template refuses it there."""

WITHOUT_LOOP_DETECTION: Final = {"us-gov-east-1", "us-gov-west-1", "mx-central-1", "ap-southeast-6"}
"""The regions that lack Lambda's detection of recursive loops, and the function setting for it.

https://github.com/aws/aws-lambda-roadmap/issues/18
"""

UNKNOWN: Final = frozenset({"me-south-1"})
"""Regions of which cfn-lint has no resource types."""
KNOWN: Final = sorted(set(REGIONS) - UNKNOWN)

CHECKED: Final = "eu-west-1"
"""The region for which `make check` lints the template."""
LINTED: Final = ("cn-north-1", "us-gov-west-1")
"""One region of each other kind."""


@pytest.fixture(scope="module")
def translated(written_template: Document) -> Document:
    """Provide the template as CloudFormation sees it after SAM's transform."""
    return translate(written_template)


def hosting(region: str) -> str:
    return "api" if region in WITHOUT_CLOUDFRONT else "cloudfront"


def types(translated: Document, hosting: str) -> set[str]:
    """Return the types of all resources, with the nested template's."""
    resources = [
        *specialise(translated, {"ViewerHosting": hosting, "Monitoring": "on"})["Resources"].values(),
        *templates.load("infra/nested/watch.yaml")["Resources"].values(),
    ]
    return {one["Type"] for one in resources if one["Type"].startswith("AWS::")}


def schemas(region: str) -> dict[str, str]:
    """Return a digest of the schema of every resource type that a region has."""
    return json.loads((PROVIDERS / f"{region}.json").read_text())  # type: ignore[no-any-return]


def findings(template: Document, region: str, **parameters: str) -> list[str]:
    """Return what cfn-lint says of the template in a region."""
    document = specialise(translate(template, region), {"Monitoring": "on", **parameters}, region)
    found = cfnlint.api.lint(json.dumps(document), None, [region], ManualArgs(regions=[region], ignore_checks=IGNORED))
    return [f"{one.rule.id} {one.message}" for one in found]


IGNORED: Final = [
    "E3005",  # see the template: a dependency for AWS only
    "W1031",  # see the template: the branch of kept data
    "W2001",  # a parameter that only the other form of the template uses
    "W8001",  # a condition, likewise
]


def test_every_region_has_every_resource_type(translated: Document) -> None:
    """In the form that it can have: the four regions without CloudFront serve the viewer by the HTTP API."""
    wanted = {form: types(translated, form) for form in ("api", "cloudfront")}
    for region in KNOWN:
        assert not wanted[hosting(region)] - schemas(region).keys(), region


def test_only_the_listed_regions_lack_cloudfront(translated: Document, written_template: Document) -> None:
    """A region that gets it leaves the list, and the template's rule names the same ones."""
    wanted = types(translated, "cloudfront")
    lacking = {region for region in KNOWN if wanted - schemas(region).keys()}
    assert lacking == set(WITHOUT_CLOUDFRONT)
    (assertion,) = written_template["Rules"]["RegionHasCloudFront"]["Assertions"]
    assert set(assertion["Assert"]["Fn::Not"][0]["Fn::Contains"][0]) == lacking


@pytest.mark.parametrize("region", KNOWN)
def test_region_without_detection_of_loops_is_not_told_to_allow_them(translated: Document, region: str) -> None:
    """Elsewhere, Lambda would end the archive's chain of invocations."""
    form = specialise(translated, {"ViewerHosting": hosting(region)}, region)
    expected = None if region in WITHOUT_LOOP_DETECTION else "Allow"
    assert form["Resources"]["Archive"]["Properties"].get("RecursiveLoop") == expected


def test_linted_regions_stand_for_all(translated: Document) -> None:
    """Every region has the schemas of one of them."""
    wanted = {form: sorted(types(translated, form)) for form in ("api", "cloudfront")}
    kinds: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for region in KNOWN:
        there = schemas(region)
        kinds[hosting(region), *(there[kind] for kind in wanted[hosting(region)])].add(region)
    for regions in kinds.values():
        assert regions & {CHECKED, *LINTED}, regions
    assert f"--template template.yaml --region {CHECKED}" in (templates.ROOT / "Makefile").read_text()


@pytest.mark.parametrize("region", LINTED)
def test_translated_template_is_valid(written_template: Document, region: str) -> None:
    """What SAM's transform makes of it, not only what is written."""
    assert findings(written_template, region, ViewerHosting=hosting(region)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("region", "hosted"), [*((one, hosting(one)) for one in KNOWN), (CHECKED, "api")])
def test_translated_template_is_valid_in_every_region(written_template: Document, region: str, hosted: str) -> None:
    """In the form that each region can have, and in the other one where CloudFront is."""
    assert findings(written_template, region, ViewerHosting=hosted) == []


def test_linter_knows_what_a_region_lacks() -> None:
    """The check itself."""
    document = {"Resources": {"Viewer": {"Type": "AWS::CloudFront::OriginAccessControl"}}}
    found = cfnlint.api.lint(json.dumps(document), None, ["cn-north-1"], ManualArgs(regions=["cn-north-1"]))
    assert "E3006" in {one.rule.id for one in found}
    assert {region for region in REGIONS if not (PROVIDERS / f"{region}.json").is_file()} == UNKNOWN
