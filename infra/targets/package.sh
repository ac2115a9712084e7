#!/bin/sh
# Package one resource of template.yaml for one target, as `sam build` asks for it.
#
#   package.sh RUNTIME-ARCHITECTURE LOGICAL-ID FOLDER
#
# The template's parameters PythonRuntime and Architecture choose the folder beside this script whose Makefile SAM runs
# (`ContextPath`), and that Makefile passes the folder's name on. So the libraries always are for the functions' target,
# on a laptop of any kind. The working directory is SAM's copy of the resource's CodeUri.
#
# UV               the uv to use. By default the one on the path, else the one that `make setup` installs.
# WITHOUT_VIEWER   not empty: package Publish without the viewer, for a local cloud that serves the viewer itself.
set -eu

target=$1 resource=$2 folder=$3
here=$(cd "$(dirname "$0")" && pwd)
version=${target%-*} version=${version#python}

fail() {
  echo "$*" >&2
  exit 1
}

# Print the path of the target's Python, if this machine has it. Version managers put programs on the path that only
# say that a version is not chosen, so each candidate has to answer.
find_python() {
  for candidate in "python$version" /usr/bin/"python$version" /usr/local/bin/"python$version" \
    "$HOME"/.pyenv/versions/"$version".*/bin/python "$HOME"/.local/share/uv/python/cpython-"$version".*/bin/python python3; do
    found=$("$candidate" -I -c 'import sys; print("%d.%d %s" % (*sys.version_info[:2], sys.executable))' 2>/dev/null) || continue
    case $found in "$version "*) printf '%s\n' "${found#* }" && return ;; esac
  done
}

# Compile all modules in the folder, so that a cold start does not. The result must not depend on this machine, or an
# unchanged function would deploy as a changed one: one process, no hash seed, no times, and Lambda's paths.
compile() {
  python=$(find_python)
  if [ -z "$python" ]; then
    echo "$resource: no Python $version on this machine, so the package has no bytecode and starts slower"
    return
  fi
  PYTHONHASHSEED=0 "$python" -I -m compileall -q -j 1 --invalidation-mode unchecked-hash -s "$folder" -p "$1" "$folder" ||
    fail "$resource: Python $version could not compile the modules above."
}

copy() {
  tar -c -f - -C "$1" --exclude=__pycache__ "$2" | tar -x -f - -C "$3"
}

package_layer() {
  case $target in
    *-arm64) platform=aarch64-manylinux_2_28 ;;
    *-x86_64) platform=x86_64-manylinux_2_28 ;;
  esac
  uv=${UV:-$(command -v uv || echo "$here/../../.venv-tools/bin/uv")}
  [ -x "$uv" ] || fail "uv is not on the path. It downloads the functions' libraries for $target. Install it" \
    "(https://docs.astral.sh/uv/getting-started/installation/, or: pipx install uv), then repeat the command."
  "$uv" pip install --quiet --no-config --target "$folder/python" --require-hashes --only-binary :all: \
    --python-version "$version" --python-platform "$platform" -r requirements.txt
  copy . logferry_protocol "$folder/python"
  rm -rf "$folder/python/bin" "$folder/python/.lock" # programs that nothing calls
  compile /opt
}

package_viewer() {
  mkdir -p "$folder/viewer"
  echo "$target" >"$folder/target" # with which the deployment compares its own parameters
  [ -z "${WITHOUT_VIEWER:-}" ] || return 0
  [ -f web/dist/index.html ] || fail "The viewer is not built: web/dist/index.html is missing. Run" \
    "\`npm ci && npm run build\` in the folder web, then repeat the command."
  tar -c -f - -C web/dist --exclude=config.json . | tar -x -f - -C "$folder/viewer"
}

mkdir -p "$folder"
case $resource in
  Protocol) package_layer ;;
  Publish) # runs in the repository's root (WorkingDirectory in the template), because it includes the built viewer
    package_viewer
    copy functions . "$folder"
    compile /var/task
    ;;
  *)
    copy . . "$folder"
    compile /var/task
    ;;
esac
