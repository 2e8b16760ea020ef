# Every target sets up what it needs, the virtual environment included.
SHELL := /bin/bash
BIN := .venv/bin
ONLY ?=
ARGS ?=

.PHONY: help env demo example test check quick bench lock clean clients services fuzz accuracy

help:
	@echo "make demo    simulated providers, gateway and ledger; ends with a report by tenant and the tie-out"
	@echo "make example a product of four processes, with each way of losing identity"
	@echo "make test    every check and test"
	@echo "make check   lint, types, architecture"
	@echo "make quick   the tests that take less than ten seconds each"
	@echo "make bench   speed and memory, as JSON in bench/results (ONLY=gateway for a part)"
	@echo "make fuzz    fuzz the gateway (ONLY=meters for the dialects), ten minutes"
	@echo "make accuracy  run every known defect of gateways and write docs/accuracy.md"
	@echo "make lock    renew requirements.lock"

env:
	@tools/setup_env.sh

demo: env
	@$(BIN)/tollbook demo $(ARGS)

# A product of four processes in both modes, healthy and with each fault.
example: env services
	@$(BIN)/python -m examples.product --all $(ARGS)

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_source.py

test: check clients services
	$(BIN)/pytest -n 2 $(ARGS)

# Clients of other languages and frameworks, for tests/clients.
clients: env
	@tools/setup_clients.sh

# Servers that tests start for themselves.
services:
	@tools/setup_services.sh

fuzz:
	@fuzz/run.sh $(or $(ONLY),http) $(or $(SECONDS_EACH),600)

accuracy: env
	$(BIN)/python tools/accuracy_page.py

quick: env
	$(BIN)/pytest -n 2 -m "not slow" $(ARGS)

bench: env
	$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

lock: env
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --generate-hashes --no-annotate --no-header --python-version 3.11 --universal --quiet --output-file requirements.lock

clean:
	rm -rf .venv .clients .fuzz .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
