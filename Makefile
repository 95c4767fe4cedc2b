# Each target installs what it needs: a virtual environment in .venv with the versions of requirements.lock.
PYTHON ?= python3
IN_VENV := .venv/bin/python
# For the package and for its build dependencies.
export PIP_CONSTRAINT := requirements.lock
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help serve test test-fast lint check fuzz bench docs lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

serve: .venv/serving  ## serve on 127.0.0.1:8080; ARGS='--port 9000' passes options
	@exec $(IN_VENV) -m promo_sandbox serve $(ARGS)

test: .venv/developing  ## the whole suite
	@echo "The whole suite takes about 5 minutes on two idle cores. make test-fast takes less than two."
	$(IN_VENV) -m pytest -n auto --dist worksteal $(ARGS)

test-fast: .venv/developing  ## the suite without generated requests, container images, browsers and other slow tests
	$(IN_VENV) -m pytest -n auto --dist worksteal -m 'not fuzz and not slow' $(ARGS)

lint: .venv/developing  ## format, lint and types, as before each commit by .pre-commit-config.yaml
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m mypy

check: lint  ## what CI runs: format, lint, types, specs, suite with coverage
	$(IN_VENV) -m promo_sandbox check
	rm -f .coverage .coverage.*
	$(IN_VENV) -m coverage run -m pytest -n auto --dist worksteal -m 'not fuzz' $(ARGS)
	$(IN_VENV) -m coverage combine -q
	$(IN_VENV) -m coverage report --fail-under=95
	$(IN_VENV) -m pytest -n auto --dist worksteal -m fuzz $(ARGS)  # coverage would double their time

fuzz: .venv/developing  ## Schemathesis and the state machines for longer; EXAMPLES=2000 by default
	SANDBOX_FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(IN_VENV) -m pytest -n auto --dist worksteal -m fuzz $(ARGS)

bench: .venv/developing  ## measure speed, start and memory against a bare Starlette; ARGS='--quick' takes half a minute
	$(IN_VENV) bench/run.py $(ARGS)

docs: .venv/developing  ## build the documentation into site/; `make test` runs its examples
	NO_MKDOCS_2_WARNING=1 $(IN_VENV) -m mkdocs build --strict $(ARGS)
	@echo "The documentation is in site/index.html; to search it: python3 -m http.server -d site 8000"

lock: .venv/made  ## update requirements.lock to the newest versions
	rm -rf .venv/locking && $(PYTHON) -m venv .venv/locking
	PIP_CONSTRAINT= .venv/locking/bin/python -m pip install -q '.[dev]'
	.venv/locking/bin/python -m pip list --format=freeze --exclude promo-sandbox --exclude pip --exclude setuptools > requirements.lock
	rm -rf .venv/locking

.venv/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Promo Sandbox needs Python 3.11 or later")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/serving: .venv/made pyproject.toml requirements.lock
	$(IN_VENV) -m pip install -q -e .
	@touch $@

.venv/developing: .venv/made pyproject.toml requirements.lock
	$(IN_VENV) -m pip install -q -e '.[dev]'
	@touch $@ .venv/serving

clean:  ## delete what the other targets created
	rm -rf .venv dist build site .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
