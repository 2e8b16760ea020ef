#!/usr/bin/env bash
# Sets up what tests/clients, tests/otlp_mapping and tests/focus drive beside the project's own
# environment: LiteLLM and LlamaIndex, the OpenTelemetry instrumentations (two environments: their versions
# of shared packages differ), the official FOCUS validator (Python 3.12), the npm packages of OpenAI,
# Anthropic and the AI SDK, a certified provider of OpenID Connect. All of it is locked; each part is made anew when its lock has changed, and
# nothing is done when all are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
exec 9>.clients.lock
flock 9
mkdir -p .clients

# part NAME FILE...: whether the part has to be made, from what it is made of
part() {
  want=$(cat "${@:2}" | sha256sum | cut -d' ' -f1)
  [ "$(cat ".clients/$1.complete" 2>/dev/null || true)" != "$want" ] || return 1
  echo "Setting up .clients/$1 ..." >&2
  rm -rf ".clients/$1" ".clients/$1.complete"
}

done_with() { echo "$want" >".clients/$1.complete"; }

# python_part NAME LOCK [PYTHON]
python_part() {
  if part "$1" "$2"; then
    "${3:-.venv/bin/python}" -m venv ".clients/$1"
    ".clients/$1/bin/pip" install --quiet --disable-pip-version-check --no-compile --require-hashes -r "$2"
    done_with "$1"
  fi
}

# The official FOCUS validator needs Python 3.12. Where none is found its part is left out, and the
# tests that use it say so.
python312() {
  for one in python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python3.12 /usr/bin/python3.12 \
    /usr/local/bin/python3.12; do
    if "$one" -c 'import venv, ensurepip' >/dev/null 2>&1; then
      echo "$one"
      return
    fi
  done
}

node_part() {
  if part "$1" "$2/package.json" "$2/package-lock.json"; then
    if ! command -v npm >/dev/null 2>&1; then
      if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
      else
        echo "The tests of the JavaScript clients need Node.js. Debian: sudo apt-get install nodejs npm" >&2
        exit 2
      fi
    fi
    mkdir -p ".clients/$1"
    cp "$2/package.json" "$2/package-lock.json" ".clients/$1/"
    (cd ".clients/$1" && npm ci --silent --no-audit --no-fund --ignore-scripts >/dev/null)
    done_with "$1"
  fi
}

python_part venv tests/clients/frameworks.lock
python_part otel tests/clients/otel.lock
python_part openinference tests/clients/openinference.lock
if python312=$(python312) && [ -n "$python312" ]; then
  python_part focus312 tests/clients/focus.lock "$python312"
else
  echo "No Python 3.12 was found: .clients/focus312, the official FOCUS validator, is left out." >&2
fi
node_part node tests/clients/node
node_part node_otel tests/clients/node_otel
node_part oidc tests/people/oidc_provider
