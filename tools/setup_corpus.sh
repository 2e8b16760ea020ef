#!/usr/bin/env bash
# Sets up what records the auditor's corpus (python -m examples.corpus --record): the instrumentation
# packages, in two environments, for the newest OpenInference and the others need different versions
# of Anthropic's client. Replaying what is recorded needs none of it.
set -euo pipefail
cd "$(dirname "$0")/.."
exec 9>.clients.lock
flock 9
mkdir -p .clients
for name in corpus corpus_openinference; do
  lock="examples/corpus/environments/$name.lock"
  want=$(sha256sum <"$lock" | cut -d' ' -f1)
  [ "$(cat ".clients/$name.complete" 2>/dev/null || true)" != "$want" ] || continue
  echo "Setting up .clients/$name ..." >&2
  rm -rf ".clients/$name" ".clients/$name.complete"
  .venv/bin/python -m venv ".clients/$name"
  ".clients/$name/bin/pip" install --quiet --disable-pip-version-check --no-compile --require-hashes -r "$lock"
  echo "$want" >".clients/$name.complete"
done
