#!/usr/bin/env bash
# Sets up what tests/clients drives beside the project's own environment: LiteLLM and LlamaIndex in a
# virtual environment of their own (their versions of shared packages differ), the npm packages of
# OpenAI and Anthropic. All of it is locked; nothing is done when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
exec 9>.clients.lock
flock 9
want=$(cat tests/clients/frameworks.lock tests/clients/node/package-lock.json tools/setup_clients.sh | sha256sum | cut -d' ' -f1)
if [ -f .clients/.complete ] && [ "$(cat .clients/.complete)" = "$want" ]; then exit 0; fi
if ! command -v npm >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
  else
    echo "The tests of the JavaScript clients need Node.js. Debian: sudo apt-get install nodejs npm" >&2
    exit 2
  fi
fi
echo "Setting up .clients (once; a minute or two) ..." >&2
rm -rf .clients
mkdir -p .clients/node
.venv/bin/python -m venv .clients/venv
.clients/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/clients/frameworks.lock
cp tests/clients/node/package.json tests/clients/node/package-lock.json .clients/node/
(cd .clients/node && npm ci --silent --no-audit --no-fund >/dev/null)
echo "$want" >.clients/.complete
