#!/bin/sh
# Build the agent's image for amd64 and arm64 where buildx can, else for this machine, and say which. `make image` runs it.
#
#     infra/agent/image.sh [TAG]         build it for this machine; with buildx also for both, as an OCI archive in .build/
#     infra/agent/image.sh --push TAG    build it, and push it to the registry that TAG names
set -eu
cd "$(dirname "$0")/../.."
push=
if [ "${1:-}" = --push ]; then
    push=yes
    shift
    [ -n "${1:-}" ] || { echo "image.sh: --push needs the image's name: infra/agent/image.sh --push REGISTRY/NAME:TAG" >&2; exit 2; }
fi
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' protocol/logferry_protocol/__init__.py)
tag=${1:-logferry-agent:$version}
platforms=linux/amd64,linux/arm64
builder=logferry

if ! docker version >/dev/null 2>&1; then
    echo "image.sh: the Docker Engine does not answer: start it, or set DOCKER_HOST." >&2
    exit 1
fi
set -- -f agent/Dockerfile --build-arg VERSION="$version" --build-arg REVISION="$(infra/agent/revision.sh)" \
    --build-arg SOURCE="$(infra/agent/revision.sh --source)"
# Another base, such as the same image in a registry of yours.
[ -z "${BASE:-}" ] || set -- "$@" --build-arg BASE="$BASE"

# Why the image cannot be built for both; empty when it can.
why_one() {
    if ! docker buildx version >/dev/null 2>&1; then
        echo "buildx is not installed (https://docs.docker.com/build/install-buildx/)"
        return
    fi
    docker buildx inspect "$builder" >/dev/null 2>&1 ||
        docker buildx create --name "$builder" --driver docker-container >/dev/null ||
        { echo "buildx cannot make a builder"; return; }
    found=$(docker buildx inspect --bootstrap "$builder" 2>/dev/null | sed -n 's/^Platforms: *//p')
    for platform in linux/amd64 linux/arm64; do
        case ", $found, " in
        *", $platform,"* | *", $platform*,"*) ;;
        *) echo "this machine cannot run programs for $platform (docker run --privileged --rm tonistiigi/binfmt --install all)" ;;
        esac
    done
}

one=$(why_one)
if [ -z "$one" ] && [ -n "$push" ]; then
    docker buildx build --builder "$builder" --platform "$platforms" "$@" -t "$tag" --push .
    echo "$tag is pushed for $platforms."
elif [ -z "$one" ]; then
    mkdir -p .build
    docker buildx build --builder "$builder" --platform "$platforms" "$@" -t "$tag" --output "type=oci,dest=.build/logferry-agent-$version.tar" .
    docker buildx build --builder "$builder" "$@" -t "$tag" --load .
    echo "$tag is built for this machine, and for $platforms in .build/logferry-agent-$version.tar."
else
    docker build "$@" -t "$tag" .
    [ -z "$push" ] || docker push "$tag"
    echo "$tag is for $(docker image inspect --format '{{.Os}}/{{.Architecture}}' "$tag") alone: $one."
fi
