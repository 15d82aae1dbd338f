# Every target does its own set-up; `scripts/setup` is a no-op when nothing changed.
SHELL := bash
VENV := .venv/bin

.PHONY: help up test bench lint types fmt check lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

up: ## Run everything on this machine, in this terminal
	@scripts/setup runtime
	@$(VENV)/dhmon up

test: ## Run every test, against real servers
	@scripts/setup dev system
	@scripts/setup lake-dev
	@$(VENV)/pytest
	@.venv-lake/bin/pytest tests/lake tests/collector/store

bench: ## Measure this installation beside its references
	@scripts/setup dev system
	@$(VENV)/dhmon bench --write

lint: ## Check style, imports, containers, workflows
	@scripts/setup dev
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/lint-imports
	$(VENV)/hadolint Dockerfile
	$(VENV)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(VENV)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: ## Check types
	@scripts/setup dev
	$(VENV)/mypy

fmt: ## Format the code
	@scripts/setup dev
	$(VENV)/ruff check --fix-only
	$(VENV)/ruff format

check: lint types test ## Everything that CI runs

lock: ## Write the lock files anew from pyproject.toml
	@scripts/setup dev
	@scripts/lock

clean: ## Remove the virtual environments and the caches; data/ stays
	rm -rf .venv .venv-lake .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
