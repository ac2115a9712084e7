"""Serves CloudFormation's custom resource: uploads on create and update, empties buckets on delete."""

import json
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from aws_lambda_powertools import Logger

from . import core
from .store import Store

Answer = Callable[[str, bytes], None]
"""Sends an answer to the address that CloudFormation gave."""

TARGET: Final = "target"
"""The file, beside the viewer's folder, in which the build names its runtime and processor."""
ANSWER_MS: Final = 20_000
"""Kept for the answer. Without one, CloudFormation waits until `ServiceTimeout`, and says nothing of the reason."""


class WrongTargetError(Exception):
    """The functions were built for another runtime or processor than the stack's."""


def put_answer(url: str, body: bytes) -> None:
    """Answer CloudFormation with a PUT to a signed S3 address. The signature allows no content type."""
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310 - CloudFormation's own
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


def build_handler(
    store: Store, viewer: Path, logger: Logger, answer: Answer = put_answer
) -> Callable[[Mapping[str, Any], Any], None]:
    """Return the Lambda handler.

    Args:
        store: the bucket and the distribution.
        viewer: the folder of the built viewer.
        logger: takes failures.
        answer: sends the result to CloudFormation.
    """

    def check_target(wanted: str | None) -> None:
        built = viewer.parent / TARGET
        # Version 0.1.0 has neither, and a roll-back to it must pass.
        if wanted is None or not built.is_file() or (found := built.read_text().strip()) == wanted:
            return
        runtime, _, architecture = wanted.rpartition("-")
        raise WrongTargetError(
            f"sam build made the functions for {found}, and the stack is for {wanted}. Run `sam build "
            f"--parameter-overrides PythonRuntime={runtime} Architecture={architecture}`, and deploy again."
        )

    def publish(reference: str, config: Mapping[str, Any] | None) -> None:
        files = [path.relative_to(viewer).as_posix() for path in viewer.rglob("*") if path.is_file()]
        if "index.html" not in files:
            raise FileNotFoundError(
                "the viewer was not built before `sam build`: run `npm ci && npm run build` in web/"
            )
        # A roll-back to version 0.1.0 sends that version's properties, which have no configuration. The file stays.
        if config is not None:
            store.put(core.Upload(core.CONFIG, "application/json", core.REVALIDATE), core.config_file(config))
        for upload in core.plan(files):
            store.put(upload, (viewer / upload.key).read_bytes())
        store.invalidate_cache(reference)

    def handler(event: Mapping[str, Any], context: Any) -> None:
        status, reason = "SUCCESS", ""
        properties = event["ResourceProperties"]
        try:
            if event["RequestType"] == "Delete":
                for bucket in (store.viewer_bucket, *properties.get("Empties", [])):
                    store.empty_bucket(bucket, lambda: context.get_remaining_time_in_millis() < ANSWER_MS)
            else:
                check_target(properties.get("Target"))
                publish(event["RequestId"], properties.get("Config"))
        except Exception as error:
            logger.exception("the viewer was not published, or a bucket was not emptied")
            status, reason = "FAILED", f"{type(error).__name__}: {error}"[:500]
        document = {
            "Status": status,
            "Reason": reason,
            "PhysicalResourceId": "viewer",
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        }
        answer(event["ResponseURL"], json.dumps(document).encode())

    return handler
