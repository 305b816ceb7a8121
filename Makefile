# Needs Python 3.11+, make and pip; everything else is installed into .venv from the lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHIPPED := domain application projections api
CODE := $(SHIPPED) tests
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
INSTALL := $(PIP) install --root-user-action=ignore

.DEFAULT_GOAL := help
.PHONY: help run test fuzz faults check audit format bench bench-growth bench-timing bench-audit \
	profile lock clean
.DELETE_ON_ERROR:

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run ## Start the service on 127.0.0.1:8000 (ARGS="--port 8001 ..." is passed on)
	@exec $(BIN)/grantledger serve $(ARGS)

test: $(VENV)/dev ## Run the tests, two files at a time (ARGS="-k name ..." is passed on to pytest)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

fuzz: $(VENV)/dev ## Try every parser with thousands of damaged values (about four minutes)
	@$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz $(ARGS)

faults: $(VENV)/dev ## Play every fault under load and check that nothing is lost (about four minutes)
	@$(BIN)/python -m tests.faults $(ARGS)

check: $(VENV)/dev ## Check format, lint, types, imports, security, and the container files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(SHIPPED)
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; fi
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml

audit: $(VENV)/dev ## Ask PyPI for known vulnerabilities of what the lock files name (needs the internet)
	@for lock in requirements.lock requirements-dev.lock; do $(call audited,$$lock); done

format: $(VENV)/dev ## Format the code and repair what lint can repair
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(VENV)/dev ## Measure every endpoint beside a sign-only one (JSON=FILE writes data)
	@$(BIN)/python -m tests.benchmarks $(if $(JSON),--json "$(JSON)") $(ARGS)

bench-growth: $(VENV)/dev ## Measure whether a growing log slows the service down (to 5,000,000 events)
	@$(BIN)/python -m tests.benchmarks.growth $(ARGS)

profile: $(VENV)/dev ## Draw where the time of a request goes, as a flame graph (ARGS="refresh_token")
	@$(BIN)/python -m tests.benchmarks.profile $(ARGS)

bench-timing: $(VENV)/dev ## Measure whether refused clients can be told apart by time (ARGS="--rounds N")
	@$(BIN)/python -m tests.benchmarks.timing $(ARGS)

bench-audit: $(VENV)/dev ## Measure search, reports, replay and export on a long history (5,000,000 events)
	@$(BIN)/python -m tests.benchmarks.audit $(ARGS)

lock: $(VENV)/dev ## Renew both lock files with the newest allowed versions
	@$(COMPILE) pyproject.toml --group build --output-file requirements.lock
	@$(COMPILE) pyproject.toml --group dev --extra otel --constraint requirements.lock \
		--output-file requirements-dev.lock

clean: ## Remove .venv and all caches; never the data directory
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	@find . -type d -name __pycache__ -prune -exec rm -rf {} +

# --universal: one file for every platform and every Python from 3.11 on. --no-config: no index
# address of the person who locks gets in. No comments on origins: they differ with every change.
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--custom-compile-command "make lock"

# pip-audit exits alike for a vulnerability and for a service that it cannot reach; what was not
# asked must not pass for what was found well.
define audited
said=$$($(BIN)/pip-audit --requirement $(1) --require-hashes --disable-pip --strict \
	--progress-spinner off \
	2>&1); status=$$?; \
case "$$said" in \
	*"known vulnerabilities"*|*"known vulnerability"*) echo "$(1): $$said"; test $$status = 0 || exit 1 ;; \
	*) echo "$(1): NOT CHECKED, the advisory service did not answer:" \
		"$$(echo "$$said" | tail -1 | cut -c1-200)" >&2; exit 2 ;; \
esac
endef

# The stamps: newer than the lock file means that .venv has what the lock file says.
$(VENV)/run: requirements.lock pyproject.toml
	@$(call prepare,requirements.lock,about half a minute)

$(VENV)/dev: requirements-dev.lock pyproject.toml
	@$(call prepare,requirements-dev.lock,about a minute)

define prepare
set -e; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "grantledger needs Python 3.11 or newer; choose one with make PYTHON=..." >&2; exit 1; }; \
if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	echo "Making the virtual environment $(VENV)"; \
	$(PYTHON) -m venv --clear $(VENV); \
fi; \
echo "Installing what $(1) lists into $(VENV): $(2) the first time"; \
$(INSTALL) --require-hashes -r $(1); \
$(INSTALL) --no-deps --no-build-isolation -e .; \
touch $@
endef
