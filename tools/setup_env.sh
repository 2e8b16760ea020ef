#!/usr/bin/env bash
# Makes .venv from the hash-locked requirements; does nothing when it is up to date.
# Needs Python 3.11 or newer (PYTHON=... to choose one); installs python3-venv where Debian left it out.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1; then python=$candidate; break; fi
  done
fi
if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Tollbook needs Python 3.11 or newer. Install it (Debian: apt-get install python3.11), or name it: make PYTHON=/path/to/python3.11" >&2
  exit 2
fi

stamp=.venv/.complete
want=$(cat requirements.lock pyproject.toml tools/setup_env.sh | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then exit 0; fi

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
  else
    echo "This Python cannot make virtual environments. Debian: sudo apt-get install python3-venv" >&2
    exit 2
  fi
fi

echo "Setting up .venv (once; a minute or two) ..." >&2
# A failed set-up leaves no stamp, so the next call starts again.
"$python" -m venv --clear .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
.venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
echo "$want" > "$stamp"
