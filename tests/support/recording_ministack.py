"""Run MiniStack with the template's conditions enforced, and write down what IAM decided about each call of a role.

The emulator's own Python runs this, with the file to write in IAM_RECORD: one JSON document a line, with the role, the
action, the resource, the partition keys that a DynamoDB request names, and whether the call was allowed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

LEADING_KEYS = Path(__file__).parents[2] / "infra" / "local" / "logferry_local" / "leading_keys.py"


def main() -> None:
    """Serve MiniStack until SIGTERM."""
    from ministack import app as emulator  # noqa: PLC0415 - there in the emulator's own environment alone
    from ministack.core import iam_evaluator  # noqa: PLC0415
    from ministack.core.responses import get_account_id  # noqa: PLC0415

    spec = importlib.util.spec_from_file_location("leading_keys", LEADING_KEYS)
    assert spec is not None
    assert spec.loader is not None
    leading_keys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(leading_keys)
    emulator.app = leading_keys.enforced(emulator.app)
    enforce = iam_evaluator.enforce

    def recorded(access_key_id: str, iam_action: str, service: str, region: str, **more: Any) -> Any:
        result = enforce(access_key_id, iam_action, service, region, **more)
        principal = iam_evaluator.resolve_principal(access_key_id or "", get_account_id())
        arn = getattr(principal, "arn", "")
        if ":assumed-role/" in arn:
            document = {
                "role": arn.split("/")[1],
                "action": iam_action,
                "resource": more.get("resource_arn", "*"),
                "keys": leading_keys.keys_of_request.get() if service == "dynamodb" else None,
                "allowed": result is None,
            }
            with Path(os.environ["IAM_RECORD"]).open("a") as file:
                file.write(json.dumps(document) + "\n")
        return result

    iam_evaluator.enforce = recorded
    sys.argv = sys.argv[:1]  # MiniStack reads the arguments too
    emulator.main()


if __name__ == "__main__":
    main()
