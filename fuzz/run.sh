#!/usr/bin/env bash
# Fuzzes one target for some seconds: fuzz/run.sh http 600. Atheris (hash-locked) lives in .fuzz/, a virtual
# environment of its own that sees the project's packages. New inputs stay in .fuzz/corpus;
# `fuzz/run.sh merge http` keeps in fuzz/corpus the few that reach something new.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup_env.sh
if [ ! -x .fuzz/bin/python ] || ! .fuzz/bin/python -c 'import atheris' 2>/dev/null; then
  .venv/bin/python -m venv --clear .fuzz
  .fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes -r fuzz/requirements.lock
  packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  { echo "$packages"; echo "$PWD/src"; } >"$(.fuzz/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
fi
if [ "$1" = merge ]; then
  target=$2
  mkdir -p ".fuzz/merged/$target"
  exec .fuzz/bin/python -m fuzz "$target" -merge=1 -max_len=4096 "fuzz/corpus/$target" ".fuzz/corpus/$target"
fi
target=$1 seconds=$2
mkdir -p ".fuzz/corpus/$target" ".fuzz/found"
exec nice -n 19 .fuzz/bin/python -m fuzz "$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
  -rss_limit_mb=2048 -artifact_prefix=".fuzz/found/$target-" -print_final_stats=1 -dict=fuzz/http.dict ".fuzz/corpus/$target" "fuzz/corpus/$target"
