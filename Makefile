PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread a process: the tests run in parallel, and two busy threads on two cores stall each other.
# Where a test asks for more, those that wait sleep, and leave their core to the other process.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/pytest

.PHONY: run test chaos test-golden test-golden-quick test-gpu check format lock clean

run: $(VENV)/.run  ## The whole service on http://127.0.0.1:8000, and the workshop of checkpoints
	$(BIN)/mulan serve

test: $(VENV)/.dev  ## Every test that needs neither a GPU nor files from outside this repository
	$(PYTEST) -n auto --dist loadfile --no-loadscope-reorder -m "not gpu and not golden and not chaos"

chaos: $(VENV)/.dev  ## Minutes of killed workers, a Redis that goes and comes, floods; the short ones too
	$(PYTEST) tests/chaos

test-golden: $(VENV)/.dev  ## Parity with the official implementation; GOLDEN_ARRAYS names its arrays
	$(PYTEST) -n auto -m golden

test-golden-quick: $(VENV)/.dev  ## The same without the three solves that take minutes each
	$(PYTEST) -n auto -m "golden and not slow"

test-gpu: $(VENV)/.dev  ## What needs a CUDA device
	$(PYTEST) -m gpu

check: $(VENV)/.dev  ## Format, lint, types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.dev  ## The versions that the images install, the latest that pyproject.toml allows
	echo "setuptools>=77" | $(BIN)/uv pip compile pyproject.toml - --extra tracing --extra gpu --universal --python-version 3.11 \
	    --no-annotate --upgrade --custom-compile-command "make lock" --output-file deploy/constraints.txt

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[onnx,workshop]"
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@
