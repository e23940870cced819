# The verbs of this repository. A newcomer needs two: `make demo` and `make test`.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON := $(firstword $(foreach name,python3.12 python3.13 python3 python,$(shell \
	$(name) -c 'import sys; print("$(name)") if (3, 12) <= sys.version_info[:2] < (3, 14) else None' 2>/dev/null)))
UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin
# `make demo TORCH=cpu` installs torch's small CPU build by version, where an index that has it is reachable.
TORCH ?= lock
INSTALLED := .venv/installed-$(TORCH)
ONCE ?=

.PHONY: help install demo test check format lint types unit thorough real plugins e2e soak bench bench-model bench-gpu package docs lock clean

help:  ## Say what each verb does.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

install: $(INSTALLED)  ## Make the virtual environment from the hashed locks.

demo: install  ## Play the main job and stay until Ctrl-C; ONCE=1 ends after the script.
	@$(BIN)/python -m playground.demo $(if $(ONCE),--once)

test: check unit plugins e2e  ## Everything a newcomer runs: checks, unit, plugin and end-to-end tests.

check: lint types  ## ruff, ruff format and mypy --strict.

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: install
	@$(BIN)/mypy tool_server playground scripts tests
	@$(BIN)/mypy --config-file dify_plugin/mypy.ini main.py dify_plugin/*.py dify_plugin/{provider,tools,endpoints}/*.py
	@cd dify_plugin/model_provider && MYPYPATH=. ../../$(BIN)/mypy --config-file ../mypy.ini models provider main.py

unit: install  ## Unit and contract tests.
	@$(BIN)/python -m pytest -q tests -m "not thorough and not real" --ignore=tests/plugins --ignore=tests/e2e --ignore=tests/reliability

thorough: install  ## The long tests that only CI need run each time: auxiliary models, kills of the model server, quantised weights.
	@$(BIN)/python -m pytest -q tests -m "thorough and not real" --timeout 300 --ignore=tests/plugins --ignore=tests/e2e --ignore=tests/reliability

real: install  ## Knowledge on a real Elasticsearch 8 and 9; needs Maven and a JDK, fetches 200 MB once.
	@$(BIN)/python -m pytest -q tests/real --timeout 300
	@TEST_KNOWLEDGE_BACKEND=elasticsearch $(BIN)/python -m pytest -q tests/knowledge -m "not thorough" --timeout 300

plugins: install  ## Tests of the Dify packages; importing the SDK patches a process, so they run in one of their own.
	@$(BIN)/python -m pytest -q tests/plugins

e2e: install  ## End-to-end and kill tests through the playground.
	@$(BIN)/python -m pytest -q tests/e2e tests/reliability

soak: install  ## The full fault counts: 20 kills at random moments in 200 messages.
	@TEST_SOAK=1 $(BIN)/python -m pytest -q -s tests/reliability -k random_kills --timeout 900

bench: install  ## Measure: what is found, how the demo model answers, what it obeys, how long a message takes; DATA="folders…" for collections.
	@$(BIN)/python -m scripts.evaluate_found
	@OMP_NUM_THREADS=1 $(BIN)/python -m scripts.train_demo_model playground/demo_model --evaluate 2>/dev/null
	@$(if $(DATA),$(BIN)/python -m scripts.evaluate_search $(DATA))
	@$(BIN)/python -m scripts.evaluate_poisoned
	@$(BIN)/python -m playground.demo --once
	@$(MAKE) --no-print-directory bench-model

bench-model: install  ## Measure the model server against others; ROUNDS=3; takes about an hour on two idle cores.
	@$(BIN)/python -m scripts.bench.single
	@$(BIN)/python -m scripts.bench.web
	@$(BIN)/python -m scripts.bench.start
	@$(BIN)/python -m scripts.bench.memory
	@$(BIN)/python -m scripts.bench.compare --rounds $(or $(ROUNDS),3)
	@$(BIN)/python -m scripts.bench.page

bench-gpu: install  ## Measure a 7B's shapes on a CUDA device; without one it says so.
	@$(BIN)/python -m scripts.bench.gpu
	@$(BIN)/python -m scripts.bench.page

package: install  ## Build both Dify packages into dist/.
	@$(BIN)/python -m scripts.package

format: install  ## Format the code.
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .

docs: install  ## Rewrite the pages that are made from the code.
	@$(BIN)/python -m scripts.docs

lock: $(UV)  ## Resolve the dependencies anew.
	@$(UV) run --no-project --python $(PYTHON) python scripts/lock.py $(UV)

clean:  ## Remove what the demo and the tests left.
	@rm -rf .data .run-* .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(UV):
	@test -n "$(PYTHON)" || { echo "Python 3.12 or 3.13 is missing: install it, so that python3.12 or python3 is on the PATH."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: python3-venv)."; exit 1; }
	@echo "Preparing uv …"
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(INSTALLED): $(UV) requirements/dev.txt requirements/torch.txt pyproject.toml
	@echo "Installing Python packages; the first time this takes some minutes (torch is large) …"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@if [ "$(TORCH)" = cpu ]; then \
		$(UV) pip sync --quiet --python $(BIN)/python requirements/dev.txt && \
		$(UV) pip install --quiet --python $(BIN)/python --torch-backend cpu $$(grep -oE '^torch==[^ ]+' requirements/torch.txt); \
	else \
		$(UV) pip sync --quiet --python $(BIN)/python requirements/dev.txt requirements/torch.txt; \
	fi
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@rm -f .venv/installed-* && touch $@
