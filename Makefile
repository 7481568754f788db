# Every target makes .venv and installs what it needs, from Python >= 3.11, make and a C++ compiler.
# Versions and hashes of all packages come from requirements.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.lock
# It would say that a next mkdocs, which the lock does not take, is not for this theme.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
ARGS ?=
# Most tests wait for sessions and brokers, not for a core.
JOBS ?= 4
CYCLES ?= 20
SEED ?= 1

.PHONY: help demo test check bench faults faults-control site site-serve lock format example clean

help:
	@echo "make demo    stream MovieLens through an embedded Kafka and watch lists change"
	@echo "make test    run all tests (installs torch for the training tests: a large download)"
	@echo "make check   formatter, linter, types, import rules, generated files"
	@echo "make bench   measure the engine and the whole worker"
	@echo "make faults  workers under CYCLES=N faults with SEED=S; faults-control: stock Faust instead"
	@echo "make site    build the documentation into site/; site-serve: show it at 127.0.0.1:8000"
	@echo "make example train the bundle of examples/movielens again"
	@echo "make lock    resolve requirements.lock again"

demo: $(VENV)/.demo
	$(BIN)/stream-app demo $(ARGS)

test: $(VENV)/.all
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --ignore tests/faults $(ARGS)
	$(BIN)/pytest tests/faults

check: $(VENV)/.all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/stream-app schemas check
	sh tools/check-lock.sh
	$(BIN)/python tools/audit.py

bench: $(VENV)/.all
	$(BIN)/python -m benchmarks $(ARGS)

faults: $(VENV)/.all
	$(BIN)/python -m tests.faults --cycles $(CYCLES) --seed $(SEED) $(ARGS)

# Succeeds when the checks find what stock Faust loses.
faults-control: $(VENV)/.all
	! $(BIN)/python -m tests.faults --scenario stock --cycles $(CYCLES) --seed $(SEED) $(ARGS)

site: $(VENV)/.docs
	$(MKDOCS) build --strict

site-serve: $(VENV)/.docs
	$(MKDOCS) serve --strict

example: $(VENV)/.all
	sh examples/movielens/train.sh $(BIN)/stream-app

format: $(VENV)/.all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	    --extra train --extra text-model --extra rocksdb --extra demo --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.demo: $(VENV)/.uv pyproject.toml requirements.lock
	@echo "installing stream-app[demo] into $(VENV) (hnswlib is compiled: about a minute)"
	@$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.docs: $(VENV)/.uv pyproject.toml requirements.lock
	@$(INSTALL) 'mkdocs-material'
	@touch $@

$(VENV)/.all: $(VENV)/.uv pyproject.toml requirements.lock
	@echo "installing stream-app[train,text-model,rocksdb,demo,dev] into $(VENV) (torch: a large download)"
	@$(INSTALL) --editable '.[train,text-model,rocksdb,demo,dev]'
	@touch $@ $(VENV)/.demo

# uv itself, with the hash that the lock has for it.
$(VENV)/.uv: requirements.lock
	@$(PYTHON) tools/preflight.py
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@touch $@
