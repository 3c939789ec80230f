# make demo     serve on the embedded upstream: no key, no Ollama, no network
# make run      serve with .env and config.toml
# make test     run the tests; `make test ARGS="-k breaker"` runs some of them
# make faults   every test of a fault or a threat, the slow ones and deep searches included
# make soak     half an hour of load and faults; `make soak ARGS="--count 5 --seed 2"`: five minutes
# make check    everything that must hold before a commit, as CI does
# make lock     pin what the container image installs, with hashes: deploy/requirements.lock
# make bench    measure what the router adds; `make bench ARGS=--quick` takes six minutes
# make train    learn the local classifier anew: `make train DATA=prompts.jsonl`
#
# Each installs what it needs into .venv first, once, and again when pyproject.toml has changed.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := .venv/installed
INSTALLED_DEV := .venv/installed-dev

.PHONY: help demo run test faults soak check lock bench train

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(INSTALLED)
	@$(BIN)/llm-router demo $(ARGS)

run: $(INSTALLED)
	@$(BIN)/llm-router serve $(ARGS)

test: $(INSTALLED_DEV)
	$(BIN)/pytest -n auto $(ARGS)

faults: $(INSTALLED_DEV)
	$(BIN)/pytest -n auto -m fault --hypothesis-profile deep \
		-o timeout=1800 -o faulthandler_timeout=0 $(ARGS)

soak: $(INSTALLED_DEV)
	$(BIN)/python -m reliability soak $(ARGS)

check: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict llm_router tests benchmarks training reliability
	$(BIN)/pytest -n auto --cov --cov-branch --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

lock: $(BIN)/python
	@$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-annotate --no-emit-index-url --custom-compile-command "make lock" \
		pyproject.toml deploy/requirements.in --output-file deploy/requirements.lock

bench: $(INSTALLED_DEV)
	$(BIN)/python -m benchmarks $(ARGS)

train: $(INSTALLED)
	$(BIN)/python -m training $(DATA)

$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo "Installing llm-router into .venv"
	@$(PIP) --editable .
	@touch $@

$(INSTALLED_DEV): pyproject.toml | $(BIN)/python
	@echo "Installing llm-router and its development tools into .venv"
	@$(PIP) --editable '.[dev]'
	@touch $(INSTALLED) $@

# A half-made environment would look finished the next time.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "llm-router needs Python 3.11 or newer, and '$(PYTHON)' is not that." >&2; \
		echo "Name another one, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
