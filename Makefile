# `make demo` shows what the package does, `make test` that it does so. Both need Python 3.10 or newer and nothing else:
# they make a virtual environment in .venv and use it again until the requirements change.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip install --quiet -c constraints.txt

# Test files run side by side; 0 runs them one after the other.
JOBS ?= auto

# Folders of which the suite must cover nine lines in ten, each.
COVERED := models pipeline training

# One thread: sums in one order give the same figures on every machine, and these models are small.
export OMP_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1

.PHONY: demo test lint bench clean

demo: $(VENV)/.package
	$(BIN)/glomo-spacy demo
	cd projects/quickstart && $(BIN)/python -m spacy project run all

test: $(VENV)/.tools
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(addprefix --cov=glomo_spacy.,$(COVERED)) --cov-report=term:skip-covered
	@for folder in $(COVERED); do \
	  percent=$$($(BIN)/python -m coverage report --include="glomo_spacy/$$folder/*" --format=total --fail-under=90) \
	  && echo "glomo_spacy/$$folder: $$percent % of lines covered" \
	  || { echo "glomo_spacy/$$folder: $$percent % of lines covered, 90 wanted"; exit 1; }; \
	done

lint: $(VENV)/.tools
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: $(VENV)/.tools
	$(BIN)/python benchmarks/glomo.py

clean:
	rm -rf $(VENV) build dist glomo_spacy.egg-info demo guide answer.html graph.html map.html surprisal.html .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	@touch $@

$(VENV)/.package: $(VENV)/.torch setup.cfg pyproject.toml
	$(PIP) --editable .
	@touch $@

$(VENV)/.tools: $(VENV)/.package
	$(PIP) --editable ".[test,lint,hdf5,viz,vectors]"
	@touch $@
