# Every target sets up .venv by itself, and again only when the pins change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

TASK       ?= regression
# The paper's seven; any of conf/optimizer can be named.
OPTIMIZERS ?= adam adamw muon sgd sgd_log_metric sgd_metric sgd_rms
TRIALS     ?=
SAMPLER    ?= tpe
PRUNER     ?= none
PROTOCOL   ?= paper
STUDIES    ?= 1
SEEDS      ?=
SEED       ?= 0
RETRY      ?=
RESULTS    ?= results
# Of make compare: the tuned optimizers to compare with, and where their records are.
AGAINST    ?= adamw muon sgd sgd_rms
BASELINES  ?= results/published
MODE       ?= offline
BEST       ?=
TARGETS    ?=
# Of trial and verify: protocol/task/sampler/optimizer, a number in it, the share of the trials that are drawn, 1 for
# those of deterministic=true alone.
# Of reproduce, STUDY is a name in sweeps/published. Of replay: how many of the first epochs, of the best trials.
STUDY      ?=
TRIAL      ?=
SHARE      ?=
DETERMINISTIC ?=
EPOCHS     ?=
TOP        ?=
SELECT     ?=
STEPS      ?= grid,timing,fair,page
MANUAL_DIR ?=
# Who trains: this process, so many on this machine, or so many on a cluster (docs/scaling.md).
WORKERS    ?= 1
LAUNCHER   ?= $(if $(filter 1,$(WORKERS)),none,local)
STORAGE    ?= $(if $(filter-out 1,$(WORKERS))$(filter slurm,$(LAUNCHER)),postgresql,journal)
# Of status and wandb: seconds between two looks; of the dashboard: where on 127.0.0.1 it is.
EVERY      ?=
PORT       ?= 8080
# Further settings of the launcher: LAUNCH="partition=gpu gpus=1"
LAUNCH     ?=

# A misspelt variable would leave its default: a search of all trials instead of the few that were meant.
known := VENV $(shell sed -n 's/^\([A-Z_]*\) *?=.*/\1/p' $(firstword $(MAKEFILE_LIST)))
unknown := $(filter-out $(known),$(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name))))
ifneq ($(unknown),)
$(error unknown variable $(unknown): there are $(known))
endif

# So would one that the target does not read, such as TRIAL instead of TRIALS: these belong to a few targets alone.
read_TRIAL    := trial
read_SHARE    := verify
read_DETERMINISTIC := verify
read_EPOCHS   := replay
read_TOP      := replay
read_SELECT   := replay
read_SEEDS    := fair compare
read_AGAINST  := compare
read_BASELINES := compare
read_STUDY    := trial verify reproduce
read_STEPS    := landscapes
read_PORT     := dashboard
$(foreach name,$(patsubst read_%,%,$(filter read_%,$(.VARIABLES))),$(if \
	$(and $(findstring command line,$(origin $(name))),$(filter-out $(read_$(name)) help $(VENV)/%,$(MAKECMDGOALS))),$(error \
	$(name) is a variable of make $(read_$(name)), not of $(filter-out $(read_$(name)),$(MAKECMDGOALS)))))

# The protocol fair fixes these for all; a value that would have no effect is refused.
fixed := $(if $(filter fair compare,$(MAKECMDGOALS)),$(strip $(foreach name,SAMPLER PRUNER PROTOCOL MODE,$(if \
	$(and $(findstring command line,$(origin $(name))),$(filter-out none fair offline disabled,$($(name)))),$(name)))))
ifneq ($(fixed),)
$(error make fair and make compare set $(fixed) themselves, as docs/fair.md says; make wandb mirrors their trials afterwards)
endif

ifneq ($(words $(MODE))$(filter offline online disabled,$(MODE)),1$(MODE))
$(error MODE must be one of offline online disabled, got '$(MODE)')
endif

# What this machine computes on: found at the first setup, then kept until another is named.
ACCELERATORS := auto cpu cuda12 cuda13 tpu
ACCELERATOR ?= $(or $(patsubst .jax-%,%,$(notdir $(wildcard $(VENV)/.jax-*))),auto)
ifneq ($(words $(ACCELERATOR))$(filter $(ACCELERATORS),$(ACCELERATOR)),1$(ACCELERATOR))
$(error ACCELERATOR must be one of $(ACCELERATORS), got '$(ACCELERATOR)')
endif
ifeq ($(ACCELERATOR),auto)
# By the newest CUDA that the driver of a card runs.
accelerator := $(or $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA [A-Z ]*Version *: *\([0-9]*\).*/\1/p' | \
	awk '$$1 >= 12 {print "cuda" ($$1 > 12 ? 13 : 12); exit}'),cpu)
else
accelerator := $(ACCELERATOR)
endif

empty :=
comma := ,
space := $(empty) $(empty)
chosen = optimizer=$(subst $(space),$(comma),$(strip $(OPTIMIZERS)))
prepare = $(BIN)/python -m induced_metric data --task $(TASK) $(if $(MANUAL_DIR),--manual-dir '$(MANUAL_DIR)')
# The check answers 1 where a data set is to be prepared. Only then is TensorFlow installed.
where_missing = $(prepare) --check; case $$? in 0) ;; 1) $(MAKE) --no-print-directory $(VENV)/.data $(1) ;; *) exit 2 ;; esac
placed = $(strip $(if $(filter journal,$(STORAGE)),,storage=$(STORAGE)) \
	$(if $(filter none,$(LAUNCHER)),,launcher=$(LAUNCHER) launcher.workers=$(WORKERS) $(addprefix launcher.,$(LAUNCH))))
mirror = $(BIN)/python -m induced_metric wandb --task $(TASK) --protocol $(PROTOCOL) --mode $(MODE) --results '$(RESULTS)'
# All tasks and protocols, but for one that was named: the default of the other targets is none.
named = $(if $(filter-out file,$(origin $(1))),$(2) $($(1)))
watched = --results '$(RESULTS)' $(call named,TASK,--task) $(call named,PROTOCOL,--protocol)
# What checks the published records reads others where RESULTS names them.
or_published = $(if $(filter file,$(origin RESULTS)),results/published,$(RESULTS))
every = $(if $(EVERY),--every $(EVERY))
# More processes than that would wait for each other: each compiles, and XLA takes all cores.
TESTS := $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=worksteal
report = $(BIN)/python -m induced_metric $(1) --task $(TASK) --protocol $(PROTOCOL) --results '$(RESULTS)' \
	$(if $(BEST),--best $(BEST)) $(if $(TARGETS),--targets $(TARGETS))

# Containers run as root, where Jupyter starts only if told so.
as_root = $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help setup sweep fair compare landscapes data tables figures claims costs report wandb status dashboard notebook notebooks test test-fast test-all lint bench lock clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: TASK=$(TASK) OPTIMIZERS=\"$(OPTIMIZERS)\""
	@echo "             TRIALS=<the task's budget> SAMPLER=$(SAMPLER) PRUNER=$(PRUNER) PROTOCOL=$(PROTOCOL) STUDIES=$(STUDIES) SEED=$(SEED) RETRY=$(RETRY) RESULTS=$(RESULTS) MODE=$(MODE)"
	@echo "             ACCELERATOR=$(ACCELERATOR) ($(ACCELERATORS)) MANUAL_DIR=<the original files of a data set>"
	@echo "             WORKERS=$(WORKERS) LAUNCHER=$(LAUNCHER) STORAGE=$(STORAGE) LAUNCH=<further settings of conf/launcher/$(LAUNCHER).yaml>"
	@echo "             AGAINST=\"$(AGAINST)\" BASELINES=$(BASELINES) (of compare)"
	@echo "             SEEDS=<fresh seeds of fair and compare> PYTHON=$(PYTHON) EVERY=<seconds between two looks> PORT=$(PORT)"
	@echo "             STUDY=<protocol/task/sampler/optimizer> TRIAL=<a number> SHARE=0.01 DETERMINISTIC=<1> EPOCHS=<all> TOP=<BEST> SELECT=best"
	@echo "             BEST=<50, at most a quarter of the trials> TARGETS=\"<the task's>\""

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@echo 'The pinned packages are installed into $(VENV), once; it takes one to three minutes.'
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@sed -n '/==/s/ *\\$$//p' requirements.lock > $(VENV)/pins.txt
	@touch $@

# JAX's plugins for an accelerator have locks of their own, since only one may be there.
$(VENV)/.jax-$(accelerator): $(VENV)/.installed $(filter-out %-cpu.lock,requirements-$(accelerator).lock)
	@rm -f $(VENV)/.jax-*
	@$(BIN)/python -m pip uninstall --quiet --yes $(foreach cuda,cuda12 cuda13,jax-$(cuda)-plugin jax-$(cuda)-pjrt) libtpu 2>/dev/null
ifneq ($(accelerator),cpu)
	@echo 'JAX for $(accelerator) is installed, once: a download of some gigabytes.'
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-$(accelerator).lock
endif
	@touch $@

setup: $(VENV)/.jax-$(accelerator) ## Create .venv from the pinned versions, with JAX for ACCELERATOR (every other target does this by itself)

sweep: setup ## Run or continue the studies of TASK, mirror them to W&B (unless MODE=disabled), print the tables; prepares the data set first
	@$(if $(wildcard conf/task/$(TASK).yaml),$(call where_missing,&& $(prepare)))
	@$(BIN)/python sweeps/sweep.py task=$(TASK) $(chosen) $(if $(TRIALS),trials=$(TRIALS)) sampler=$(SAMPLER) \
		pruner=$(PRUNER) protocol=$(PROTOCOL) studies=$(STUDIES) seed=$(SEED) $(if $(RETRY),retry=$(RETRY)) 'results=$(RESULTS)' $(placed)
ifneq ($(LAUNCHER),slurm)
	@$(mirror) || echo 'the records are complete without it; make wandb mirrors them when it works again'
	@$(call report,tables)
endif

# Adam is left out: with weight decay, which this protocol gives to all, it is AdamW.
ifeq ($(origin OPTIMIZERS),file)
fair: OPTIMIZERS = adamw muon sgd sgd_log_metric sgd_metric sgd_rms
endif
ifeq ($(origin STUDIES),file)
fair compare: STUDIES = 5
endif
ifeq ($(origin SEEDS),file)
compare: SEEDS = 40
endif
fair compare: override PROTOCOL = fair
fair_sweep = $(BIN)/python sweeps/sweep.py task=$(TASK) $(chosen) protocol=fair seed=$(SEED) $(if $(RETRY),retry=$(RETRY)) 'results=$(RESULTS)' $(placed)

fair: setup ## Run or continue the fair comparison of TASK (docs/fair.md): random search, five TPE studies, their winners again from fresh seeds; prints the tables, writes the report
	@$(if $(filter slurm,$(LAUNCHER)),$(error LAUNCHER=slurm returns before a search is finished: submit the three sweeps of docs/fair.md one after the other))
	@$(enough_seeds)
	@$(if $(wildcard conf/task/$(TASK).yaml),$(call where_missing,&& $(prepare)))
	@$(fair_sweep) sampler=random '$(if $(TRIALS),trials=$(TRIALS),trials=$${budget.draws})'
	@$(fair_sweep) sampler=tpe studies=$(STUDIES) $(if $(TRIALS),trials=$(TRIALS))
	@$(fair_sweep) sampler=confirmed studies=$(STUDIES) $(if $(TRIALS),sampler.searched=$(TRIALS)) $(if $(SEEDS),trials=$(SEEDS))
	@$(call report,tables)
	@$(BIN)/python -m induced_metric report --results '$(RESULTS)'

# Of one seed there is no spread, and so no verdict: said before anything is trained, not after.
enough_seeds = case '$(SEEDS)' in 0|1|*[!0-9]*) \
	echo "SEEDS must be an integer of at least 2, since verdicts go by the spread over them, got '$(SEEDS)'" >&2; exit 2 ;; esac

compared = $(BIN)/python -m induced_metric compare $(OPTIMIZERS) --task $(TASK) --against $(AGAINST) \
	--results '$(RESULTS)' --baselines '$(BASELINES)'

compare: setup ## Tune and confirm OPTIMIZERS=mine on TASK as make fair does, then judge it against recorded baselines (AGAINST, BASELINES)
	@$(if $(filter file,$(origin OPTIMIZERS)),$(error name the optimiser to compare, such as make compare OPTIMIZERS=lion))
	@$(if $(filter slurm,$(LAUNCHER)),$(error LAUNCHER=slurm returns before a search is finished: submit the last two sweeps of docs/fair.md one after the other))
	@$(if $(filter-out 0,$(SEED)),$(error compare takes the seeds of the baselines: leave SEED out))
	@$(enough_seeds)
	@$(compared) --check --studies $(STUDIES)
	@$(if $(wildcard conf/task/$(TASK).yaml),$(call where_missing,&& $(prepare)))
	@$(fair_sweep) sampler=tpe studies=$(STUDIES) $(if $(TRIALS),trials=$(TRIALS))
	@$(fair_sweep) sampler=confirmed studies=$(STUDIES) $(if $(TRIALS),sampler.searched=$(TRIALS)) $(if $(SEEDS),trials=$(SEEDS))
	@$(compared)

landscapes: setup ## Run the functions of two variables (STEPS=grid,timing,fair,page), their tables, figures and page
	@$(BIN)/python sweeps/landscapes.py 'steps=[$(STEPS)]' 'results=$(RESULTS)'

$(VENV)/.data: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(VENV)/pins.txt --editable '.[data]'
	@touch $@

$(VENV)/.notebook: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(VENV)/pins.txt --editable '.[notebook]'
	@touch $@

notebook: setup $(VENV)/.notebook ## Open the notebooks in JupyterLab, on the records of RESULTS (default: yours if there are any, else the published ones)
	@$(BIN)/python -m jupyterlab notebooks $(as_root)

notebooks: setup $(VENV)/.notebook ## Execute the notebooks on the records of RESULTS and save them there as HTML
	@$(BIN)/python notebooks/publish.py --results '$(RESULTS)'

data: setup ## Prepare the data set of TASK (MANUAL_DIR=... reads its original files from there, without network)
	@$(call where_missing)
	@$(prepare)

tables: setup ## Write and print the tables of TASK from its records
	@$(call report,tables)

figures: setup ## Draw the figures of TASK from its records
	@$(call report,figures)

costs: setup ## Measure the device seconds of an epoch of each of OPTIMIZERS, in turns, on a quiet machine (used for budgets in seconds)
	@$(BIN)/python -m induced_metric costs --task $(TASK) --protocol $(PROTOCOL) --optimizers $(OPTIMIZERS) --results '$(RESULTS)'

report: setup ## Write RESULTS/report.html, one page to explore (RESULTS: by default yours if there are records, else the published ones)
	@$(BIN)/python -m induced_metric report $(if $(filter-out file,$(origin RESULTS)),--results '$(RESULTS)')

claims: setup ## Judge the paper's claims from all records of RESULTS (default as for report); prints and writes the table
	@$(BIN)/python -m induced_metric claims $(if $(filter-out file,$(origin RESULTS)),--results '$(RESULTS)') \
		$(if $(filter results/published,$(RESULTS)),--readme README.md)

.PHONY: trial verify replay reproduce
trial: setup ## Train one recorded trial again and compare: STUDY=paper/regression/tpe/adam TRIAL=12
	@$(if $(STUDY),,$(error STUDY=protocol/task/sampler/optimizer says whose trial))$(if $(TRIAL),,$(error TRIAL=12 says which trial))
	@$(BIN)/python -m induced_metric trial --study '$(STUDY)' --trial '$(TRIAL)' --results '$(or_published)'

verify: setup ## Train a random 1% of the recorded trials again and compare (SHARE=0.05 TASK=... STUDY=... RESULTS=...)
	@$(BIN)/python -m induced_metric verify --results '$(or_published)' $(if $(SHARE),--share $(SHARE)) \
		$(call named,TASK,--task) $(call named,SEED,--seed) $(if $(STUDY),--study '$(STUDY)') \
		$(if $(DETERMINISTIC),--deterministic)

replay: setup ## Show what the searches of TASK would find under other rules, without training: EPOCHS=50 TRIALS=100 TOP=10 SELECT=last PRUNER=successive_halving
	@$(BIN)/python -m induced_metric replay --task $(TASK) --protocol $(PROTOCOL) --results '$(or_published)' --pruner $(PRUNER) \
		$(foreach rule,TRIALS EPOCHS TOP SELECT,$(if $($(rule)),--$(shell echo $(rule) | tr A-Z a-z) $($(rule))))

reproduce: setup ## Run a published study again and compare (STUDY=table_1 or all; without STUDY, list them with their cost; TRIALS=20 for a quick try)
	@$(BIN)/python -m induced_metric reproduce $(if $(STUDY),--study $(STUDY)) $(if $(TRIALS),--trials $(TRIALS)) \
		$(if $(filter-out file,$(origin RESULTS)),--results '$(RESULTS)')

wandb: setup ## Mirror the recorded trials of TASK to Weights & Biases (MODE=offline or online); EVERY=60 follows a running sweep
	@$(mirror) $(every)

status: setup ## Show the progress of the studies of RESULTS (TASK=... for one task; STORAGE=postgresql adds the workers; EVERY=5 repeats)
	@$(BIN)/python -m induced_metric status $(watched) --storage $(STORAGE) $(every)

dashboard: setup ## Serve Optuna's dashboard on the records of RESULTS (TASK=... for one task) at 127.0.0.1:PORT
	@$(BIN)/python -m induced_metric dashboard $(watched) --port $(PORT)

test: setup ## Run the tests, except exhaustive ones and those that need the machine to themselves
	$(TESTS) -m 'not exhaustive and not faults'

test-fast: setup ## Run only the fast tests, without those marked slow
	$(TESTS) -m 'not exhaustive and not faults and not slow'

test-all: setup ## Run all tests
	$(TESTS) -m 'not faults'
	$(BIN)/python -m pytest -m faults

lint: setup ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## Measure speed against plain optax, as ratios
	$(BIN)/python benchmarks/regression.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/occupancy.py
	$(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/mnist.py

lock := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet
lock: setup ## Update requirements.lock and those of the accelerators from pyproject.toml
	$(lock) --upgrade pyproject.toml --extra dev -o requirements.lock
	for each in $(filter-out auto cpu,$(ACCELERATORS)); do \
		echo "jax[$$each]" | $(lock) --upgrade - --constraint requirements.lock -o requirements-$$each.lock || exit; done

clean: ## Remove the environment and the caches of the tools; results and ~/.cache/induced-metric stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
