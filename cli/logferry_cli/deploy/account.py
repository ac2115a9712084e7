"""The AWS account and region of a deployment: who acts there, and which quotas it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from logferry_cli.deploy.answers import remembered_regions
from logferry_cli.deployment import named_region
from logferry_cli.problems import Problem

API_GATEWAY_RATE: Final = "L-8A5B8E43"
"""Service Quotas' code of API Gateway's "Throttle rate"."""
QUICK: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
CREDENTIALS_ADVICE: Final = "Sign in (`aws configure`, `aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID)."


@dataclass(frozen=True, slots=True)
class Account:
    """An account and region, with clients for it."""

    session: boto3.Session
    endpoint_url: str | None
    region: str
    number: str
    """Its twelve digits."""
    identity: str
    """The ARN of who acts."""
    partition: str
    profile: str | None = None
    """The profile that the command line names; None: credentials are found as the AWS CLI finds them."""

    def client(self, service: str) -> Any:
        """Return a client of a service. It is untyped, as its type depends on the name."""
        return self.session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]

    def concurrency(self) -> int | None:
        """Return how many functions may run at once; None when it cannot be read."""
        try:
            answer = self._quick("lambda").get_account_settings()
            return int(answer["AccountLimit"]["ConcurrentExecutions"])
        except (ClientError, BotoCoreError, KeyError):
            return None

    def request_rate(self) -> float | None:
        """Return API Gateway's quota of requests a second; None when it cannot be read."""
        quotas = self._quick("service-quotas")
        for call in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
            try:
                return float(call(ServiceCode="apigateway", QuotaCode=API_GATEWAY_RATE)["Quota"]["Value"])
            except (ClientError, BotoCoreError, KeyError):
                continue
        return None

    def _quick(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint_url, config=QUICK)  # type: ignore[call-overload]


def find_account(stack: str, region: str | None, profile: str | None, endpoint_url: str | None) -> Account:
    """Return the account that the user's credentials belong to.

    Raises:
        Problem: No region or credentials are set, or AWS cannot be reached.
    """
    region = region or named_region()
    try:
        session = boto3.Session(region_name=region, profile_name=profile)
    except ProfileNotFound as error:
        raise Problem(f"{error}.", "Run `aws configure list-profiles` to see which there are.") from None
    if session.region_name is None:
        remembered = remembered_regions(stack)
        if len(remembered) != 1:
            raise Problem("No region is set.", "Give one with --region, AWS_REGION or `aws configure`.")
        session = boto3.Session(region_name=remembered[0], profile_name=profile)
    try:
        answer = session.client("sts", endpoint_url=endpoint_url, config=QUICK).get_caller_identity()
    except ClientError as error:
        raise Problem(
            f"AWS does not accept these credentials ({error.response['Error']['Message']}).", CREDENTIALS_ADVICE
        ) from None
    except BotoCoreError as error:
        raise Problem(f"AWS cannot be used ({error}).", CREDENTIALS_ADVICE) from None
    return Account(
        session,
        endpoint_url,
        str(session.region_name),
        answer["Account"],
        answer["Arn"],
        session.get_partition_for_region(session.region_name) if endpoint_url is None else answer["Arn"].split(":")[1],
        profile,
    )
