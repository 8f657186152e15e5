# Every target makes .venv from the lock file on first use and says what it does.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: study test test-slow test-ray lint bench docs clean

study: $(READY)  ## Run the study on the embedded digits and say where the report is.
	@echo "== study: all steps on the embedded digits, no network needed"
	$(BIN)/tellapart study digits --minutes 2.5

test: lint  ## Format, lint, types, tests, doc examples.
	@echo "== test: tests and doc examples"
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

test-slow: $(READY)  ## The heavier checks: real data, kills, whole studies.
	@echo "== test-slow: heavier checks"
	$(BIN)/python -m pytest -m slow

test-ray: $(READY)  ## Install Ray beside the rest, and run the tests of its executor.
	@echo "== test-ray: a Ray of this machine alone, started and ended by the tests"
	$(BIN)/python -m pip install --quiet --editable ".[ray]"
	$(BIN)/python -m pytest tests/cells/test_executors.py

lint: $(READY)  ## Format, lint, types.
	@echo "== lint: format, lint, types"
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: $(READY)  ## Run the benchmarks that need no data; RESULTS.md names the others.
	@echo "== bench: prints figures; results are kept in benchmarks/RESULTS.md"
	$(BIN)/python benchmarks/allocator.py
	$(BIN)/python benchmarks/augment.py
	$(BIN)/python benchmarks/rates.py
	$(BIN)/python benchmarks/untuned.py

docs: $(READY)  ## Run every example in README, docs and docstrings.
	@echo "== docs: run the examples"
	$(BIN)/python -m pytest tests/test_docs.py --doctest-modules src

$(READY): requirements.lock pyproject.toml
	@echo "== install: .venv from requirements.lock (about 6 GB with CUDA; README tells of the small build)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $(READY)

clean:  ## Remove the environment and caches, not the runs.
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
