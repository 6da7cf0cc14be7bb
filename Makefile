# Everything here needs Python 3.11 or newer, pip and a package index; `uv` makes it quicker where it is installed.
# The environment is built in .venv by whichever target comes first, and again when pyproject.toml changes.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.headwater-installed
UV := $(shell command -v uv 2>/dev/null)
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
# Options for pytest: make test ARGS="tests/core -x"
ARGS ?=
# How many processes run the tests: one a core (one more takes as long), or make test JOBS=0 for none but pytest's own.
JOBS ?= auto

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-zA-Z%-]+:.*## / { sub("%", "A1", $$1); printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## run the main job on a year of real flights (examples/flights)
	@echo "== demo: examples/flights/demo.py"
	@$(BIN)/python examples/flights/demo.py

.PHONY: test
test: lint types layers ui-check browser ## lint, types, layers, the web pages, then every test in random order
	@echo "== test: pytest, in random order (warnings are errors)"
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: setup ## ruff: rules and format
	@echo "== lint: ruff check, ruff format --check"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: setup ## mypy --strict over the package
	@echo "== types: mypy --strict"
	@$(BIN)/mypy

.PHONY: layers
layers: setup ## import-linter: imports go downward only
	@echo "== layers: lint-imports"
	@$(BIN)/lint-imports

# The web pages need Node and npm. Their built files are in the repository, so that nobody else does.
UI := ui/node_modules/.headwater-installed
NPM := $(shell command -v npm 2>/dev/null)

.PHONY: ui
ui: $(UI) ## build the web pages (ui/) into headwater/api/static
	@echo "== ui: vite build"
	@cd ui && npm run --silent build -- --logLevel warn

.PHONY: ui-check
ifeq ($(NPM),)
ui-check:
	@if [ "$$CI" = true ]; then echo "the web pages can't be checked: npm was not found" >&2; exit 1; fi
	@echo "== ui-check: SKIPPED, for npm was not found: types, lint, tests and build of ui/ were NOT checked" >&2
else
ui-check: $(UI) ## types, lint and tests of the web pages; their built files are those of their sources
	@echo "== ui-check: tsc, biome, vitest, vite build"
	@cd ui && npm run --silent types && npm run --silent lint && npm run --silent test -- --silent
	@cd ui && npm run --silent build -- --logLevel warn --outDir build --emptyOutDir
	@diff -r ui/build headwater/api/static || \
		{ echo "headwater/api/static is not what ui/ builds: make ui, and commit what it writes" >&2; exit 1; }
endif

$(UI): ui/package-lock.json
	@echo "== setup: what the web pages are built with (npm ci)"
	@cd ui && npm ci --silent --no-audit --no-fund
	@touch $@

.PHONY: screenshots
screenshots: setup ui browser ## take the pictures of the web pages in docs/pages/
	@echo "== screenshots: tests/ui, with HEADWATER_SCREENSHOTS=1"
	@HEADWATER_SCREENSHOTS=1 $(BIN)/python -m pytest -n 0 --basetemp=/tmp/pages tests/ui

# End-to-end tests drive a real browser. As root (a container, a CI machine) it is installed; nobody's own machine is changed.
.PHONY: browser
browser:
	@if { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "== setup: chromium, for the end-to-end tests"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-inter >/dev/null; \
	else \
		echo "== browser: Chromium was not found: the end-to-end tests will be SKIPPED (sudo apt-get install chromium)" >&2; \
	fi

.PHONY: bench
bench: setup ## measure what things cost (benchmarks/)
	@echo "== bench: benchmarks/run.py, beside Prefect and Dagster (about twenty minutes)"
	@$(BIN)/python -m benchmarks.run $(ARGS)

# How long, and how many tasks a second: make soak SECONDS=120 RATE=100
SECONDS ?= 1800
RATE ?= 100
.PHONY: soak
soak: setup ## a flow of half an hour: memory, files and threads must stay flat
	@echo "== soak: benchmarks/soak.py, $(SECONDS) seconds at $(RATE) tasks a second"
	@$(BIN)/python -m benchmarks.soak --seconds $(SECONDS) --rate $(RATE)

.PHONY: stress
stress: setup ## the tests in their full form: more cases, more kills, no time limit
	@echo "== stress: pytest with HEADWATER_STRESS=1"
	@HEADWATER_STRESS=1 $(BIN)/python -m pytest --timeout 0 $(ARGS)

# Not phony: make looks for no rule with a % for those. An entry's tests are tests/reliability/test_a1_*.py and the like.
stress-%: setup ## one entry of the reliability catalogue in its full form, with its figure (docs/reliability.md)
	@entry=$$(echo '$*' | tr 'A-Z' 'a-z'); files=$$(ls tests/*/test_$${entry}_*.py 2>/dev/null); \
	if [ -z "$$files" ]; then \
		echo "there is no entry '$*' in the catalogue; there are:" \
			$$(ls tests/* | sed -n 's/^test_\([a-g][0-9]\)_.*\.py$$/\1/p' | sort -u | tr 'a-z' 'A-Z') >&2; exit 2; \
	fi; \
	echo "== stress-$*:" $$files "with HEADWATER_STRESS=1"; \
	HEADWATER_STRESS=1 $(BIN)/python -m pytest --timeout 0 -s $$files $(ARGS)

.PHONY: setup
setup: $(STAMP) ## build .venv, as every target does first

$(STAMP): pyproject.toml
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
		if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed, and none was found on the PATH" >&2; exit 1; fi; \
		echo "== setup: $(VENV) with $(PYTHON)"; \
		if [ -n "$(UV)" ]; then $(UV) venv --quiet --python "$(PYTHON)" $(VENV); else "$(PYTHON)" -m venv $(VENV); fi; \
	fi; \
	echo "== setup: headwater and its development tools into $(VENV)"; \
	if [ -n "$(UV)" ]; then \
		$(UV) pip install --quiet --python $(BIN)/python -e . --group dev; \
	else \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev; \
	fi; \
	touch $@

.PHONY: clean
clean: ## remove .venv and the caches
	rm -rf $(VENV) ui/node_modules ui/build .mypy_cache .ruff_cache .hypothesis .import_linter_cache .pytest_cache build dist
