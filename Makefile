.DEFAULT_GOAL := help
.PHONY: help setup system lock check lint test demo airflow bench chaos docs clean
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# make demo CITY=san-francisco DATA=../shared/data/san-francisco
DEMO = $(if $(CITY),--city $(CITY)) $(if $(DATA),--data $(DATA))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv from the lock, see to Java 17 and the jars, then look the machine over
	@bash infra/setup/setup.sh

system: ## install what only the tests need from the system
	@bash infra/setup/system.sh

lock: ## resolve pyproject.toml and jars.toml anew into their locks
	$(BIN)/uv pip compile --quiet --python-version 3.11 --extra dev --generate-hashes --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/python infra/setup/jars.py --lock

lint: ## format, lint, types, import rules
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@out=$$($(BIN)/lint-imports --no-logo) || { echo "$$out"; exit 1; }

check: lint ## lint and unit tests; no JVM
	@$(PYTEST) tests/unit

test: export SANYU_DRIVER_OPTIONS ?= -XX:TieredStopAtLevel=1
test: system ## everything: setup, lint, and all tests on Spark, servers and Airflow
	@bash infra/setup/setup.sh core s3 jdbc
	@$(MAKE) lint
	@$(PYTEST) tests/unit tests/spark tests/integration tests/e2e

demo: setup ## run a city to its first release through Airflow (CITY=… DATA=…)
	@$(BIN)/sanyu demo $(DEMO)

airflow: setup ## the same, and leave Airflow up with its user interface
	@$(BIN)/sanyu demo $(DEMO) --keep-airflow

bench: setup ## measure against the figures in bench/
	@$(BIN)/python -m bench

chaos: setup ## kill loads at random, a hundred rounds, and compare the lake with one that was left alone
	@PYTHONPATH=. $(BIN)/python -m tests.chaos $(or $(ROUNDS),100) $(or $(SEED),1)

docs: ## generate the table pages and the list of messages
	@$(BIN)/sanyu docs

clean: ## remove what can be made again: caches, the demo lake, Airflow's home
	rm -rf lake .sanyu build spark-warehouse .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
