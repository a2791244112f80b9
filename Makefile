# Every target sets up .venv by itself, and again only when the pins change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

TASK       ?= regression
OPTIMIZERS ?= $(sort $(basename $(notdir $(wildcard conf/optimizer/*.yaml))))
TRIALS     ?=
SAMPLER    ?= tpe
PRUNER     ?= none
PROTOCOL   ?= paper
SEED       ?= 0
RESULTS    ?= results
MODE       ?= offline
BEST       ?=
TARGETS    ?=
STEPS      ?= grid,timing,fair,page
MANUAL_DIR ?=

empty :=
comma := ,
space := $(empty) $(empty)
chosen = optimizer=$(subst $(space),$(comma),$(strip $(OPTIMIZERS)))
mirror = $(BIN)/python -m induced_metric.tracking --task $(TASK) --protocol $(PROTOCOL) --mode $(MODE) --results '$(RESULTS)'
report = $(BIN)/python -m induced_metric.analysis $(1) --task $(TASK) --protocol $(PROTOCOL) --results '$(RESULTS)' \
	$(if $(BEST),--best $(BEST)) $(if $(TARGETS),--targets $(TARGETS))

.DEFAULT_GOAL := help
.PHONY: help setup sweep landscapes data tables figures wandb test lint types bench lock clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: TASK=$(TASK) OPTIMIZERS=\"$(OPTIMIZERS)\""
	@echo "             TRIALS=<the task's budget> SAMPLER=$(SAMPLER) PRUNER=$(PRUNER) PROTOCOL=$(PROTOCOL) SEED=$(SEED) RESULTS=$(RESULTS) MODE=$(MODE)"
	@echo "             BEST=<50, at most a quarter of the trials> TARGETS=\"<the task's>\""

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/.installed ## Create .venv from the pins (every other target does it by itself)

sweep: setup ## Run or continue the studies of TASK, mirror them to W&B (MODE=disabled: not), print the tables
	@$(BIN)/python sweeps/sweep.py task=$(TASK) $(chosen) $(if $(TRIALS),trials=$(TRIALS)) sampler=$(SAMPLER) \
		pruner=$(PRUNER) protocol=$(PROTOCOL) seed=$(SEED) 'results=$(RESULTS)'
	@$(mirror)
	@$(call report,tables)

landscapes: setup ## Run the functions of two variables (STEPS=grid,timing,fair,page), their tables, figures and page
	@$(BIN)/python sweeps/landscapes.py 'steps=[$(STEPS)]' 'results=$(RESULTS)'

$(VENV)/.data: $(VENV)/.installed
	@sed -n '/==/s/ *\\$$//p' requirements.lock > $(VENV)/pins.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(VENV)/pins.txt --editable '.[data]'
	@touch $@

data: setup $(VENV)/.data ## Prepare the data set of TASK (MANUAL_DIR=... takes its files from there, without network)
	@$(BIN)/python -m induced_metric.data --task $(TASK) $(if $(MANUAL_DIR),--manual-dir '$(MANUAL_DIR)')

tables: setup ## Write and print the tables of TASK from its records
	@$(call report,tables)

figures: setup ## Draw the figures of TASK from its records
	@$(call report,figures)

wandb: setup ## Mirror the recorded trials of TASK to Weights & Biases (MODE=offline or online)
	@$(mirror)

test: setup ## Run the tests
	$(BIN)/python -m pytest

lint: setup ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## Measure speed against plain optax, as ratios
	$(BIN)/python benchmarks/regression.py
	$(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/mnist.py

lock: setup ## Renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet --upgrade -o requirements.lock

clean: ## Remove the environment and all caches, never results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
