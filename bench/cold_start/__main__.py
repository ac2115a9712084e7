"""`make bench-cold-start`: measure the processor time of each function's imports and clients.

A function runs in the environment that its deployment makes: its package, then the layer, then boto3 where Lambda's
runtime has it. It is compared with `import boto3` and one client. Both alternate, each in a process of its own, because
a machine's speed changes within minutes. On Lambda the ratio is the same as here, as far as both are the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import yaml

from logferry_local import deployment
from logferry_local.checkout import Checkout, find_checkout

BASELINE: Final = "import boto3"
TARGETS: Final = {"connect": 1.25, "ingest": 1.25}
"""The greatest ratio to the baseline. Somebody waits for these two: a person at the login, an agent for its answer."""
SCRIPT: Final = """
import sys, time
for folder in reversed(sys.argv[2:]):
    sys.path.insert(0, folder)
start = time.process_time()
if sys.argv[1] == "import boto3":
    import boto3
    boto3.client("dynamodb")
else:
    __import__(sys.argv[1] + ".handler")
print(time.process_time() - start)
"""


def packages(built: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Return each function's logical id and environment, by the name of its package.

    The values are made up: a number is valid for every setting that is no address.
    """

    class Loader(yaml.SafeLoader):
        """Read CloudFormation's functions as nothing: only names are needed."""

    Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)
    template = yaml.load(built.read_text(encoding="utf-8"), Loader)
    resources, shared = template["Resources"], template["Globals"]["Function"]["Environment"]["Variables"]
    common = {name: value if isinstance(value, str) else "Bench" for name, value in shared.items()}
    return {
        one["Properties"]["Handler"].partition(".")[0]: (
            logical,
            common
            | {
                variable: "https://example.com/live" if variable.endswith("_ENDPOINT") else "30"
                for variable in one["Properties"]["Environment"]["Variables"]
            },
        )
        for logical, one in resources.items()
        if one["Type"] == "AWS::Serverless::Function"
    }


def measure(checkout: Checkout, name: str, folders: list[Path], environment: dict[str, str]) -> float:
    """Return the milliseconds of processor time that a start takes."""
    done = subprocess.run(
        [checkout.cloud_python, "-I", "-c", SCRIPT, name, *folders],
        env={
            **environment,
            "PATH": os.defpath,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} did not start:\n{done.stderr}")
    return float(done.stdout) * 1000


def main() -> None:
    """Measure, and print a table."""
    words = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__.split("\n")[0])
    words.add_argument("--rounds", type=int, default=15)
    words.add_argument("--json", type=Path, help="write all figures to this file")
    given = words.parse_args()
    checkout = find_checkout()
    with tempfile.TemporaryDirectory() as scratch:
        built, _ = deployment.build(checkout, deployment.this_machine(checkout), Path(scratch) / "build.log")
    layer = built.parent / "Protocol" / "python"
    starts: dict[str, tuple[list[Path], dict[str, str]]] = {BASELINE: ([layer], {})}
    for name, (logical, environment) in packages(built).items():
        starts[name] = ([built.parent / logical, layer], environment)
    found: dict[str, list[float]] = {name: [] for name in starts}
    for number in range(given.rounds + 1):
        for name, (folders, environment) in starts.items():
            spent = measure(checkout, name, folders, environment)
            if number:  # the first round fills the machine's caches, and compiles boto3 as the runtime has it
                found[name].append(spent)
    base = statistics.median(found[BASELINE])
    print(f"{'start of':14} {'median':>8} {'least':>8} {'most':>8}  ratio  target")
    missed = []
    for name, figures in found.items():
        median = statistics.median(figures)
        ratio, target = median / base, TARGETS.get(name)
        if target is not None and ratio > target:
            missed.append(name)
        wanted = "" if target is None else f"{target:.2f}"
        print(f"{name:14} {median:5.0f} ms {min(figures):5.0f} ms {max(figures):5.0f} ms  {ratio:5.2f}  {wanted}")
    if given.json:
        given.json.write_text(json.dumps(found))
    if missed:
        sys.exit(f"above the target: {', '.join(missed)}")


if __name__ == "__main__":
    main()
