# Every target makes the .venv that it needs, from requirements/lock.txt, and brings it up to date.
# PYTHON=python3.12 chooses the interpreter; ARGS="..." goes to the command: make demo ARGS="--json --out result"

SHELL := /bin/sh
BIN := .venv/bin
ARGS ?=
export PYTHON

.PHONY: help demo test test-slow check format lock clean venv
.DEFAULT_GOAL := help

help:
	@echo "make demo       train a classifier on 2,000 photos of textile and show the result"
	@echo "make test       run the tests (ARGS=\"-k split\" chooses)"
	@echo "make test-slow  run the slow tests"
	@echo "make check      format, lint, types and the shape of the code"
	@echo "make format     put the format right"
	@echo "make lock       choose the newest versions anew (UPGRADE= keeps those it can)"
	@echo "make clean      remove all that was made here, .venv too"

demo: venv
	@$(BIN)/headstart demo $(ARGS)

test: venv
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: venv
	$(BIN)/python -m pytest -m slow $(ARGS)

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/check_shape.py

format: venv
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

UPGRADE ?= --upgrade
lock: venv
	$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 $(UPGRADE) \
	    --generate-hashes --only-binary :all: --emit-build-options --no-header \
	    --extra dev --output-file requirements/lock.txt pyproject.toml

venv:
	@sh tools/venv.sh

clean:
	rm -rf .venv .venv.lock build dist .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
