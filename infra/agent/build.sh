#!/bin/sh
# Build the agent's image where no image registry is reachable. The base comes from Debian packages, and the wheels from
# the package index in pip's configuration. The build itself runs without a network.
#
#     infra/agent/build.sh [TAG]
set -eu
cd "$(dirname "$0")/../.."
tag=${1:-logferry-agent}
base=$tag-base
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' protocol/logferry_protocol/__init__.py)
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT INT TERM

.venv/bin/python -m logferry_local.images base "$base"
mkdir -p "$context/agent-wheels" "$context/requirements" "$context/protocol" "$context/agent"
python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --require-hashes \
    -d "$context/agent-wheels" -r requirements/agent.txt
cp requirements/agent.txt "$context/requirements/"
cp -r protocol/logferry_protocol "$context/protocol/"
cp -r agent/logferry_agent agent/Dockerfile "$context/agent/"
find "$context" -name __pycache__ -prune -exec rm -rf {} +
docker build --quiet --network none -f "$context/agent/Dockerfile" -t "$tag" \
    --build-arg VERSION="$version" --build-arg REVISION="$(infra/agent/revision.sh)" --build-arg BASE="$base" \
    --build-arg SOURCE="$(infra/agent/revision.sh --source)" \
    --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/src/wheels "$context"
