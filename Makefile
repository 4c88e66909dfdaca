# make demo   install and run a small study on simulated X-rays (no data, no network but for the packages)
# make test   every check: what CI runs
# make check  the fast part: format, lint, types, quick tests
# make bench  the benchmarks
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Two processes, a file's tests in one of them, where they share what was trained once.
TWO = -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test check bench clean

demo: $(VENV)/.installed
	$(BIN)/healthgan study phantom --protocol quick --out runs/demo

test: $(VENV)/.test-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TWO)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=90

check: $(VENV)/.test-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(TWO) -m "not slow"

bench: $(VENV)/.test-installed
	$(BIN)/python benchmarks/ssim.py
	$(BIN)/python benchmarks/phantom.py
	$(BIN)/python benchmarks/band.py
	$(BIN)/python benchmarks/copies.py

# The pinned PyTorch comes first and alone: whatever else asks for torch then finds it there.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
