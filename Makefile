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
PYTEST := $(BIN)/python -m pytest -q
# Most tests run in several processes, more than two cores can feed, because they wait for half of their time; those that measure (marked
# `quiet`) come after them, alone. Tests that share a stage stay together.
PARALLEL := -n 4 --dist worksteal
STAGES := -n 3 --dist loadscope
# Each of these has a node of Elasticsearch, and its memory.
NODES := -n 2
UNIT := tests --ignore=tests/plugins --ignore=tests/e2e --ignore=tests/reliability

# Else each process of the tests and of the demo would compile all that it imports anew: two seconds and more of each start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test check format lint types types-server types-packages unit thorough real plugins e2e soak bench bench-model bench-gpu package sign sign-key package-check docs lock clean

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
	@$(MAKE) --no-print-directory --output-sync=target -j2 types-server types-packages

types-server: install
	@$(BIN)/mypy tool_server playground scripts tests

types-packages: install
	@$(BIN)/mypy --cache-dir .mypy_cache/packages --config-file dify_plugin/mypy.ini main.py dify_plugin/*.py dify_plugin/{provider,tools,endpoints}/*.py
	@cd dify_plugin/model_provider && MYPYPATH=. ../../$(BIN)/mypy --config-file ../mypy.ini models provider main.py

unit: install  ## Unit and contract tests.
	@$(PYTEST) $(UNIT) $(PARALLEL) -m "not thorough and not real and not quiet"
	@$(PYTEST) $(UNIT) -m "quiet and not thorough and not real"

thorough: install  ## The long tests that only CI need run each time: auxiliary models, kills of the model server, benchmarks, quantised weights.
	@$(PYTEST) $(UNIT) $(PARALLEL) -m "thorough and not real and not quiet" --timeout 300
	@$(PYTEST) $(UNIT) -m "quiet and thorough and not real" --timeout 300
	@$(PYTEST) tests/e2e tests/reliability $(STAGES) -m "thorough and not quiet" --timeout 300
	@$(PYTEST) tests/e2e tests/reliability -m "quiet and thorough" --timeout 300

real: install  ## On a real PostgreSQL, and knowledge on a real Elasticsearch 8 and 9; needs both, Maven and a JDK; fetches 200 MB once.
	@$(PYTEST) tests/real $(NODES) --dist loadscope --timeout 300
	@TEST_DATABASE=postgresql $(PYTEST) tests/channel $(PARALLEL) -m "not thorough and not quiet" --timeout 300
	@TEST_KNOWLEDGE_BACKEND=elasticsearch $(PYTEST) tests/knowledge $(NODES) --dist worksteal -m "not thorough and not quiet" --timeout 300

plugins: install  ## Tests of the Dify packages; importing the SDK patches a process, so they run in one of their own.
	@$(PYTEST) tests/plugins

e2e: install  ## End-to-end and kill tests through the playground.
	@$(PYTEST) tests/e2e tests/reliability $(STAGES) -m "not thorough and not quiet" --timeout 300
	@$(PYTEST) tests/e2e tests/reliability -m "quiet and not thorough" --timeout 300

soak: install  ## The full counts, on SQLite and PostgreSQL: 1,000 messages with 110 kills, 50 a second, ten times too much, streams, long connections, 100,000 forgeries; hours.
	@TEST_SOAK=1 $(PYTEST) -s tests/reliability tests/security tests/channel/bot_socket/test_failover.py tests/channel/test_fuzz.py \
		-k "soak or load or callbacks or random_kills or streams or kf_kills or failover or fuzz or rights" --timeout 2400

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

package: install  ## Build both Dify packages, their bundle and the workflows into dist/; OFFLINE=amd64|arm64 packs the wheels too.
	@$(BIN)/python -m scripts.package $(if $(OFFLINE),--offline $(OFFLINE)) $(if $(KEY),--key "$(KEY)")

sign: install  ## The same, signed: KEY=mine.private.pem; prints the public key's path and Dify's two settings.
	@test -n "$(KEY)" || { echo "Which key? make sign KEY=mine.private.pem; make sign-key KEY=mine.private.pem makes one."; exit 1; }
	@$(MAKE) --no-print-directory package

sign-key: install  ## Make a pair of keys for make sign: KEY=mine.private.pem.
	@test -n "$(KEY)" || { echo "Where to? make sign-key KEY=mine.private.pem"; exit 1; }
	@$(BIN)/python -m scripts.package --make-key "$(KEY)"

package-check: install  ## Hold the files of dist/ (or FILES="…") against each rule of Dify's daemon and marketplace.
	@$(BIN)/python -m scripts.package.check $(if $(FILES),$(FILES),dist/*.dify* dist/workflows*/*)

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
