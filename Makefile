# Everything is set up in .venv on first use; only Python >= 3.11, make and git are needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
STUBS  := micropython-esp32-stubs
TESTS  ?= tests hil
JOBS   ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench mutants soak screenshot lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## set up everything a developer needs, in .venv
	@echo "ready: $(BIN)/ikelet --help"

demo: $(VENV)/.run ## boot the agent under MicroPython and bring phase 1 up with a peer
	@$(BIN)/ikelet demo $(ARGS)

test: $(VENV)/.dev ## run all tests; what this machine lacks is skipped by name
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(TESTS) $(ARGS)

lint: $(VENV)/.dev ## style, types (host and firmware apart), spelling, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy host/ikelet hil/ikelet_hil
	$(BIN)/mypy --config-file mypy-firmware.ini
	$(BIN)/codespell
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github

format: $(VENV)/.dev ## put the code into the project's style
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure the handshake, the heap and the size of the code
	$(BIN)/python tests/bench/run.py $(ARGS)

soak: $(VENV)/.dev ## run the long tests, which `make test` leaves out; minutes to hours
	$(BIN)/python -m pytest -m soak -n $(JOBS) -rP $(TESTS) $(ARGS)

screenshot: $(VENV)/.dev ## of the newest run's page, into docs/; ARGS=BOARD-TEST opens one
	$(BIN)/python tests/report/screenshot.py build/hil/latest docs/hil-report.png $(ARGS)

mutants: $(VENV)/.dev ## take checks out of the firmware, one at a time: the tests must fail
	$(BIN)/python tests/mutants/run.py $(ARGS)

lock: ## take the newest releases that pyproject.toml admits into requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet -e '.[dev,farm]'
	build/lock/bin/pip install --quiet --target build/lock/typings $(STUBS)
	{ build/lock/bin/pip freeze --exclude-editable; \
	  build/lock/bin/pip freeze --path build/lock/typings; } | sort -f > requirements.lock

clean: ## remove everything that was built or installed here
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ikelet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing (Debian: apt install python3-venv)"; exit 1; }

# The stamps say what is installed: .run what the command needs, .dev what the tests need too.
$(VENV)/.run: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo "setting up $(VENV) (once)"
	@$(PIP) install --quiet -c requirements.lock -e .
	@touch $@

# The stubs have modules named like the standard library's: they stay out of site-packages.
$(VENV)/.dev: $(VENV)/.run
	@echo "setting up the tests' tools in $(VENV) (once)"
	@$(PIP) install --quiet -c requirements.lock -e '.[dev]'
	@rm -rf $(VENV)/typings
	@$(PIP) install --quiet -c requirements.lock --target $(VENV)/typings $(STUBS)
	@touch $@
