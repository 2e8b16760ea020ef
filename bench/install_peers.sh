#!/usr/bin/env bash
# Installs the peers of the part "peers" into .bench/: LiteLLM's proxy in a virtual environment of its
# own, Portkey's gateway from npm. Each is optional: the bench says in its results which it lacked.
set -u
cd "$(dirname "$0")/.."
mkdir -p .bench
python=${PYTHON:-python3}
if [ ! -x .bench/litellm/bin/litellm ]; then
  "$python" -m venv .bench/litellm &&
    .bench/litellm/bin/pip install --quiet --disable-pip-version-check 'litellm[proxy]==1.106.2' ||
    { echo "bench: LiteLLM could not be installed" >&2; rm -rf .bench/litellm; }
fi
if [ ! -f .bench/portkey/node_modules/@portkey-ai/gateway/build/start-server.js ]; then
  if command -v npm >/dev/null 2>&1; then
    mkdir -p .bench/portkey
    (cd .bench/portkey && npm install --silent --no-audit --no-fund @portkey-ai/gateway@1.15.2 >/dev/null) ||
      echo "bench: Portkey's gateway could not be installed" >&2
  else
    echo "bench: no npm for Portkey's gateway; Debian: apt-get install npm" >&2
  fi
fi
exit 0
