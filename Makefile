# Every target makes its own .venv when it is missing: `make run` is enough.
#
#   make run     host a room (ARGS="--guests 3" adds options)
#   make demo    a whole call on this machine, without devices
#   make test    lint, then all tests (ARGS="-k roster" chooses)
#   make lint    ruff, mypy, import-linter
#   make format  let ruff write the files
#   make docs    write docs/machines again from the tables
#   make lab     calls between networks of all kinds, as root (ARGS="grid" chooses)
#   make bench   the figures that we promise, measured
#   make long    stories of minutes: ten wrong codes in a row, kicks while a road is made
#   make clean   remove .venv and caches

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517

# Tests start hundreds of processes, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format docs lab bench long venv clean

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/run.stamp
	@$(BIN)/vchat host $(ARGS)

demo: $(VENV)/run.stamp
	@$(BIN)/vchat demo $(ARGS)

# All parts always run, so that one look shows everything; each fails the target. Three tests
# at a time, since many wait more than they compute, and the lint beside them. Tests that listen
# or look in real time run behind the others, two at a time (exit 5: ARGS chose none of a part).
test: $(VENV)/dev.stamp
	@status=0; \
	$(MAKE) --no-print-directory lint >$(VENV)/lint.log 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not live" $(ARGS) || [ $$? -eq 5 ] || status=1; \
	wait $$lint || status=1; cat $(VENV)/lint.log; \
	$(BIN)/python -m pytest -n 2 --dist worksteal -m live $(ARGS) || [ $$? -eq 5 ] || status=1; \
	exit $$status

lint: $(VENV)/dev.stamp
	@status=0; \
	$(BIN)/ruff check --quiet . || status=1; \
	$(BIN)/ruff format --quiet --check . || { status=1; echo "lint: 'make format' writes what ruff wants" >&2; }; \
	$(BIN)/python -m mypy || status=1; \
	$(BIN)/lint-imports --no-logo || status=1; \
	exit $$status

format: $(VENV)/dev.stamp
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

docs: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.rules.diagrams
	@$(BIN)/python -m tests.rules.layouts

lab: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.lab $(ARGS)

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.bench $(ARGS)

long: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.calls.burn
	@$(BIN)/python -m tests.calls.kicks

venv: $(VENV)/dev.stamp

# Two stamps: who only wants to talk does not wait for the tools of the house.
$(VENV)/run.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "vchat: error: $(PYTHON) is missing or older than 3.11 (try: make PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "vchat: error: $(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "preparing $(VENV) (once, about a minute) …" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
