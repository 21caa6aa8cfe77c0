# make demo: generate a GA4-shaped property, refresh it, serve the console.
# make quick: the tests of the inner loop.  make test: every test.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
JOBS ?= auto
PORT ?= 8501
CONFIG ?= deploy/config.env

# Files stay together: what their tests share is made once. The folders that take long come first.
TESTS = $(RUN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST)

# Not quick: what starts emulators, refreshes or Google's analyzer, or reads the whole history.
SLOW = deploy functions insight profiles/test_firestore.py profiles/test_firestore_indexes.py \
  refresh/test_schema.py refresh/test_store.py refresh/test_workflow.py test_secrets.py \
  warehouse/test_bigquery.py warehouse/test_consent.py warehouse/test_dialect.py \
  warehouse/test_ga4_files.py warehouse/test_redaction.py warehouse/test_reference.py \
  warehouse/test_statements.py

.PHONY: install demo functions quick test smoke check format clean

# The command: .venv/bin/cdp.
install: $(VENV)/.runs

demo: $(VENV)/.runs
	@$(VENV)/bin/cdp demo
	@$(VENV)/bin/cdp serve --port $(PORT)

# The functions of the gcp deployment, each on a port of its own; see docs/functions.md.
functions: $(VENV)/.runs
	@$(RUN) -m functions.serve

quick: $(VENV)/.tests
	@$(TESTS) tests/e2e/test_readme.py tests/unit $(SLOW:%=--ignore=tests/unit/%)

test: $(VENV)/.tests
	@$(TESTS)

# Against a deployed project, which it writes to: make smoke PROJECT=my-project; see docs/deploy.md.
smoke: $(VENV)/.tests
	@test -n "$(PROJECT)" || { echo "say which project: make smoke PROJECT=my-project"; exit 2; }
	@env $$(deploy/deploy.sh --env --project "$(PROJECT)" --config "$(CONFIG)") CDP_SMOKE=1 \
	  $(RUN) -m pytest -n0 -s tests/smoke

check: $(VENV)/.tests
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.tests
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.runs: requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12"; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "Installing cdp into $(VENV)"
	@$(RUN) -m pip install -q --disable-pip-version-check -e . -c constraints.txt
	@touch $@

$(VENV)/.tests: $(VENV)/.runs requirements-dev.txt
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(RUN) -m pip install -q --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@
