# Two commands do all the set-up on a fresh machine with Python 3.11 and make: `make demo` and `make test`.

PYTHON := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs benchmark clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "longsynth needs Python 3.11 or newer; found: $$($(PYTHON) --version 2>&1)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,dev,docs]'
	@touch $(READY)

demo: $(READY)  ## Fit the cohort that ships with the package, sample 1,000 patients, compare with real ones
	$(BIN)/longsynth demo -o demo

test: $(READY)  ## Run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(READY)  ## Check style, docstrings and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)  ## Build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

benchmark: $(READY)  ## Measure every figure of docs/benchmarks.md; takes hours and needs the cohorts in DATA
	$(BIN)/python -m tests.benchmarks.fidelity --data $(DATA) --cohort pbcseq,aids,toenail,rhdnase,eicu_demo
	$(BIN)/python -m tests.benchmarks.fidelity --data $(DATA) --report
	$(BIN)/python -m tests.benchmarks.sampling --data $(DATA)
	$(BIN)/python -m tests.benchmarks.scale --data $(DATA)
	$(BIN)/python -m tests.benchmarks.privacy_battery --data $(DATA)
	$(BIN)/python -m tests.benchmarks.privacy_false_alarms --data $(DATA)
	$(BIN)/python -m tests.benchmarks.privacy_scale
	$(BIN)/python -m tests.benchmarks.judge_scale
	$(BIN)/python -m tests.benchmarks.judge_battery
	$(BIN)/python -m tests.benchmarks.judge_false_alarms --metrics cheap
	$(BIN)/python -m tests.benchmarks.judge_false_alarms --metrics costly
	$(BIN)/python -m tests.benchmarks.profile_passes
	$(BIN)/python -m tests.benchmarks.private_utility
	$(BIN)/python -m tests.benchmarks.private_utility --cohort physionet2012 --data $(DATA)
	$(BIN)/python -m tests.benchmarks.private_hazard
	$(BIN)/python -m tests.benchmarks.private_audit
	$(BIN)/python -m tests.benchmarks.private_trade_off

clean:  ## Remove the environment and everything that was built
	rm -rf .venv site demo build *.egg-info
