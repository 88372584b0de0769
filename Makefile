# `make` lists the targets. Everything is installed once into .venv, at the versions of requirements.lock.

PYTHON ?= python3
PROFILE ?= quick
UV_VERSION := 0.13.9
AUDIT_VERSION := 2.10.1

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALLED := $(VENV)/installed
# What the benchmark compares with lives apart, and sees the packages of the book.
PEERS := .venv-peers
# Ray lives apart too: nobody needs it on one machine.
ENGINES := .venv-engines
# So does Flower, which wants other versions of some packages than the book.
DEVICES := .venv-devices
# What is installed names the directory of the checkout: in one that was moved or copied, it is installed again.
PLACE := $(shell cat $(INSTALLED) 2>/dev/null)
ifneq ($(PLACE),$(CURDIR))
$(INSTALLED): MOVED
REINSTALL := $(if $(PLACE),--reinstall)
endif
# From where pip and uv install, a user's own settings may say; not where to, and not which versions.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_DRY_RUN PIP_NO_DEPS PIP_CONSTRAINT
unexport UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_RESOLUTION UV_PRERELEASE
# What the book's own environment has; ray is left to those who have a cluster.
EXTRAS := $(foreach extra,book pdf lab tables dev,--extra $(extra))
# A file of tests stays in one process, so that its book is built once.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: help setup book lab pdf links bench test test-fast test-engines test-devices bench-engines lint format lock audit clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## make .venv and install the locked versions (about 5 GB)

book: $(INSTALLED) ## run the chapters and build _build/html (PROFILE=quick; also smoke, laptop, human, gpu, librispeech[_mini], FILE.toml)
	$(BIN)/python -m paper_lib book --profile "$(PROFILE)"

lab: $(INSTALLED) ## open JupyterLab with the chapters as notebooks, paired with book/*.py
	$(BIN)/jupytext --quiet --sync book/*.py
	PAPER_LIB_CACHE="$${PAPER_LIB_CACHE:-$(CURDIR)/.cache/paper_lib}" JUPYTER_CONFIG_PATH="$(CURDIR)/.jupyter" \
		$(BIN)/jupyter lab notebooks --LabApp.default_url=/lab/tree/live.ipynb

pdf: $(INSTALLED) ## print the built book to _build/book.pdf (needs chromium; `make book` first)
	$(BIN)/python -m paper_lib pdf

links: $(INSTALLED) ## follow every link of the built book, to the outside too (needs the network; `make book` first)
	$(BIN)/python -m paper_lib links

bench: $(PEERS)/installed ## measure the parts against other libraries and their growth (15 minutes; installs 2 GB once)
	$(PEERS)/bin/python -m benchmarks.peers

test: lint ## check the code and pass every test, the whole book at profile smoke included
	$(PYTEST)

test-fast: lint ## the same without the whole book and other slow tests
	$(PYTEST) -m "not book"

test-engines: $(ENGINES)/installed ## run the tests on a Ray cluster of two nodes (installs 0.3 GB once; wants a machine that is free)
	$(ENGINES)/bin/python -m pytest -p no:xdist tests/test_cluster.py

test-devices: $(DEVICES)/installed ## run Flower on loopback, a SuperLink with two devices (installs 0.1 GB once; seven minutes)
	$(DEVICES)/bin/python -m pytest -p no:xdist tests/test_flower.py

bench-engines: $(ENGINES)/installed ## time trainings on Ray against the pool of this machine (twenty minutes, on two free cores)
	$(ENGINES)/bin/python -m benchmarks.engines compare

lint: $(INSTALLED) ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(UV) ## pin requirements.lock to what pyproject.toml asks for; pins that still fit stay
	$(UV) pip compile --quiet --universal --python-version 3.11 $(EXTRAS) --custom-compile-command "make lock" \
		pyproject.toml --output-file requirements.lock

audit: $(INSTALLED) ## ask PyPI which of the locked packages have known vulnerabilities (needs the network)
	$(UV) tool run pip-audit@$(AUDIT_VERSION) --requirement requirements.lock --no-deps --disable-pip --strict

clean: ## remove what was built; .venv and the cache of corpora, models and records stay
	rm -rf _build .mypy_cache .pytest_cache .ruff_cache

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is not: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import platform, sys; sys.exit((platform.system(), platform.machine()) == ("Darwin", "x86_64"))' || { \
		echo "PyTorch has no packages for an Intel Mac, or for a Python that runs as on one: nothing is installed" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-user --quiet --disable-pip-version-check uv==$(UV_VERSION)

MOVED:

# Compiled at once: where nothing may be written later (PYTHONDONTWRITEBYTECODE), every process would compile anew.
# Building in the environment itself, whose setuptools is locked too, keeps an unlocked one out.
$(INSTALLED): $(UV) requirements.lock pyproject.toml
	$(UV) pip install --python $(BIN)/python $(REINSTALL) --compile-bytecode --requirement requirements.lock
	$(UV) pip install --python $(BIN)/python $(REINSTALL) --no-build-isolation --no-deps --editable .
	@pwd -P > $@

# Without what they ask for: all of it is pinned, and torch and NumPy are the book's own.
$(PEERS)/installed: $(INSTALLED) benchmarks/peers.txt
	$(BIN)/python -m venv --clear $(PEERS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/book.pth"
	$(PEERS)/bin/python -m pip install --no-user --quiet --disable-pip-version-check --no-deps \
		--requirement benchmarks/peers.txt
	@touch $@

# What both have is Flower's first.
$(DEVICES)/installed: $(INSTALLED) tests/devices.txt
	$(BIN)/python -m venv --clear $(DEVICES)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(DEVICES)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/book.pth"
	$(DEVICES)/bin/python -m pip install --no-user --quiet --disable-pip-version-check --requirement tests/devices.txt
	@touch $@

$(ENGINES)/installed: $(INSTALLED) tests/engines.txt
	$(BIN)/python -m venv --clear $(ENGINES)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(ENGINES)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/book.pth"
	$(ENGINES)/bin/python -m pip install --no-user --quiet --disable-pip-version-check \
		--constraint requirements.lock --requirement tests/engines.txt
	@touch $@
