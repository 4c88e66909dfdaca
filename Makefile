# make demo   install and run a small study on simulated X-rays (no data, no network but for the packages)
# make test   every check: what CI runs
# make check  the fast part: format, lint, types, quick tests
# make bench  speed, measured on this machine: build/bench (BENCH="--keras-python …" for more)
# make docs   the documentation as a site, build/site/index.html
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Two processes, a file's tests in one of them, where they share what was trained once.
TWO = -n 2 --dist loadfile --no-loadscope-reorder

# Where no Chromium is, and Debian's package manager is at hand, it is installed: the report's tests need a browser.
BROWSERS = chromium chromium-browser google-chrome google-chrome-stable
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)

.PHONY: demo test check bench docs browser clean

demo: $(VENV)/.installed
	$(BIN)/healthgan study phantom --protocol quick --out runs/demo

test: $(VENV)/.test-installed browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TWO) --durations=60
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=90

check: $(VENV)/.test-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(TWO) -m "not slow"

bench: $(VENV)/.test-installed
	$(BIN)/python benchmarks/suite.py --out build/bench $(BENCH)

docs: $(VENV)/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Documentation: build/site/index.html"

# The pinned PyTorch comes first and alone: whatever else asks for torch then finds it there.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

$(VENV)/.docs-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

browser:
	@for name in $(BROWSERS); do if command -v $$name >/dev/null; then exit 0; fi; done; \
	if command -v apt-get >/dev/null; then $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null && exit 0; fi; \
	echo "No Chromium: the report is not tested in a browser. Install the package 'chromium' to do so."

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
