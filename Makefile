# Two commands on a fresh machine: `make up` and `make test`. Both make .venv from
# requirements.lock first, and again when that changes. Paths are relative: the directory's own
# path may contain spaces.
#
#   make up ARGS="--port 7000 --dashboard-port 7001 --data /elsewhere"
#   make test ARGS="tests/bus -x"
#   make up PYTHON=/opt/python3.12/bin/python3

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The tests wait more than they compute.
WORKERS := 4
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

.PHONY: up test coverage lint format lock clean
.DELETE_ON_ERROR:

up: $(READY)
	@exec $(BIN)/argentbus up $(ARGS)

test: $(READY)
	@exec $(BIN)/python -m pytest --numprocesses $(WORKERS) $(ARGS)

# Apart: it takes a quarter more time, which tests that look at the clock would miss.
coverage: $(READY)
	@exec $(BIN)/python -m pytest --numprocesses $(WORKERS) --cov --cov-report=term $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The embedded Redis has wheels for these versions of Python.
$(READY): requirements.lock pyproject.toml
	@for python in $(PYTHONS); do \
		if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
			2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version)"; \
			"$$python" -m venv --clear $(VENV) && exit 0; \
			echo "argentbus: '$$python -m venv' failed; Debian and Ubuntu have it in python3-venv" >&2; \
			exit 1; \
		fi; \
	done; \
	echo "argentbus: needs Python 3.11, 3.12 or 3.13, and none of these is: $(PYTHONS)" >&2; \
	echo "argentbus: install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	exit 1
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

# Needs `uv`; run it after changing the dependencies in pyproject.toml.
lock:
	uv pip compile --quiet --universal --no-strip-extras --generate-hashes --no-header --no-emit-index-url \
		--extra dashboard --extra embed --extra embedded --extra endpoint --extra fast --extra dev --python-version 3.11 pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
