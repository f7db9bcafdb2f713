# Everything a developer does; `make` lists it. The environment is made when it is missing or
# outdated, with uv or without.

BIN := .venv/bin
DATA ?= .demo
PORT ?= 3000

.DEFAULT_GOAL := help
.PHONY: help environment run demo test check lint type bench claims proof sbom audit

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

environment: ## Make .venv, if it is missing or outdated
	@scripts/environment

demo: environment ## PostgreSQL, sample data and Dagster, here; SYSTEM=nova: one of five; ONCE=1: stop after the main job
	@$(BIN)/maintenance demo --data $(DATA) --port $(PORT) $(if $(SYSTEM),--system $(SYSTEM)) $(if $(ONCE),--once)

run: environment ## Dagster on your own policies; set MAINTENANCE_POLICIES and DAGSTER_PG_*
	@mkdir -p .dagster && cp dagster.yaml .dagster/
	DAGSTER_HOME=$(CURDIR)/.dagster $(BIN)/dagster dev --workspace workspace.yaml --port $(PORT)

test: environment ## The suite, on real servers; ARGS="-k partition" picks; THOROUGH=1: all that CI runs
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder $(if $(THOROUGH),-m "not slow" --every-version,-m "not slow and not thorough") $(ARGS)

proof: environment ## The long proofs, which write docs/reliability.md; HOURS=1 ARGS=tests/crash/test_soak.py: load for so long
	MAINTENANCE_WRITE_RELIABILITY=1 $(BIN)/pytest -m slow $(ARGS)

check: lint type ## Everything but tests: format, lint, types, layers, spelling, locks
	$(BIN)/lint-imports
	$(BIN)/codespell
	scripts/requirements --check

lint: environment ## Format and lint
	$(BIN)/ruff format --check
	$(BIN)/ruff check

type: environment ## Types
	$(BIN)/pyright

bench: environment ## Speed, beside the rivals, in one run, into benchmarks/RESULTS.md; QUICK=1: small, unwritten
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

claims: environment ## What the plans of the example systems claim, measured, into their pages; ARGS=nova: one
	$(BIN)/python -m tests.system_measurements $(ARGS)

sbom: ## The packages of production, as CycloneDX, into dist/sbom.json; with uv
	@mkdir -p dist
	uv export --quiet --frozen --no-dev --extra server --extra s3 --extra parquet --format cyclonedx1.5 --output-file dist/sbom.json

audit: ## Known vulnerabilities of what is locked, asked from osv.dev; with uv
	uv audit --frozen
