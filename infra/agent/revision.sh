#!/bin/sh
# Print the commit of this checkout, with `-dirty` after changes; with --source the address that it was cloned from. Outside
# of a git checkout, print nothing.
set -eu
if [ "${1:-}" = --source ]; then
    # Without the user and password that an address may contain.
    git config --get remote.origin.url 2>/dev/null | sed 's|^\([a-z]*://\)[^/@]*@|\1|' || true
    exit
fi
revision=$(git rev-parse HEAD 2>/dev/null) || exit 0
[ -z "$(git status --porcelain --untracked-files=no)" ] || revision=$revision-dirty
echo "$revision"
