# Everything a contributor needs; `make help` lists it. `make check` is exactly what CI runs.
# All paths are relative, so that a clone may live in a directory with spaces in its name.

VENV   := .venv
PYTHON := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
# What `make bench` measures beside Envoi is installed apart: nothing of Envoi may come to need it.
PEERS       := .venv-bench
PEERS_STAMP := $(PEERS)/.installed
JOBS   ?= 2

# A recipe that fails leaves no half-made target behind.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test check lint format types contracts faults bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: $(STAMP) ## Set up .venv and start the demo (ONCE=1 walks it once and stops)
	@$(PYTHON) -m examples.demo $(if $(filter-out 0,$(ONCE)),--once)

# Lint, format, types and contracts come first: the last line is pytest's own summary.
check: ## Everything CI runs: lint, format check, types, contracts, tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory contracts
	@$(MAKE) --no-print-directory test

test: $(STAMP) ## Run the tests (ARGS="-k outbox" picks some, JOBS=4 uses more processors)
	@$(PYTHON) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

lint: $(STAMP) ## Check the code and its format with ruff; changes nothing
	@$(PYTHON) -m ruff check --quiet
	@$(PYTHON) -m ruff format --quiet --check --diff

format: $(STAMP) ## Format the code and apply ruff's safe fixes
	@$(PYTHON) -m ruff check --fix --quiet --exit-zero
	@$(PYTHON) -m ruff format --quiet

types: $(STAMP) ## Check the types with mypy and pyright
	@$(PYTHON) -m mypy src tests faults bench $(if $(wildcard examples/*.py),examples)
	@$(PYTHON) -m pyright --pythonpath $(PYTHON)

contracts: $(STAMP) ## Check who may import whom (import-linter)
	@$(PYTHON) -c 'from importlinter.cli import lint_imports_command as main; main()' --no-logo

faults: $(STAMP) ## Break everything Envoi stands on and count (ARGS="--only 'R*' --engine sqlite" picks)
	@$(PYTHON) -m faults $(ARGS)

bench: $(STAMP) $(PEERS_STAMP) ## Measure Envoi beside what people install today (ARGS="--quick", "--help")
	@$(PYTHON) -m bench $(ARGS)

lock: $(STAMP) ## Pin every dependency anew in requirements/ (ARGS="--upgrade-package ruff" for one)
	@$(PYTHON) -m uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --all-extras \
		$(or $(ARGS),--upgrade) --output-file requirements/dev.txt pyproject.toml
	@$(PYTHON) -m uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --group bench \
		$(or $(ARGS),--upgrade) --output-file requirements/bench.txt
	@! grep -n '://' requirements/*.txt || { echo "the lock names an address" >&2; exit 1; }

clean: ## Remove .venv, caches and everything built
	@rm -rf $(VENV) $(PEERS) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A name like python3.13 may exist and still not run (version switchers), so each candidate is asked.
# The lock names every package there is to install. Without --no-deps an old pip would look for
# `coverage[toml]` once more by itself, and refuse the set-up on the day a newer one comes out.
$(STAMP): requirements/dev.txt pyproject.toml
	@set -e; python=; \
	for candidate in python3.11 python3.12 python3.13 python3; do \
		if $$candidate -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
		then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Envoi needs Python 3.11 or newer with its venv module, and none was found." >&2; \
		echo "On Debian and Ubuntu: apt install python3 python3-venv" >&2; exit 1; \
	fi; \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		echo "Setting up $(VENV) (once, a minute or so)"; $$python -m venv --clear $(VENV); \
	fi
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
		-r requirements/dev.txt
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(PEERS_STAMP): requirements/bench.txt | $(STAMP)
	@echo "Setting up $(PEERS) (once): the peers that Envoi is measured beside"
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
		-r requirements/bench.txt
	@touch $(PEERS_STAMP)
