# Set-up, tests and demo. Both `make test` and `make demo` do all set-up on a fresh Debian 12 (as root or with sudo).
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
FRONTEND ?= standin
export FRONTEND
# Two beds side by side, a test file each, first the faults, which are slow; there is one pair of real front-ends only.
AT_ONCE := $(if $(filter standin,$(FRONTEND)),--numprocesses 2 --dist loadfile --no-loadscope-reorder)

.PHONY: setup test lint unit install contract bed long demo deb clean

setup: .venv/ready

# The venv sees Debian's python3-rados and python3-rbd, which are in no registry.
.venv/ready: packages.apt setup.cfg pyproject.toml
	./sandbox/packages
	/usr/bin/python3 -m venv --system-site-packages .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	ln -sf ../../sandbox/sandbox .venv/bin/sandbox
	touch $@

test: lint unit install contract bed

lint: setup
	.venv/bin/ruff check .
	.venv/bin/mypy

unit: setup
	$(PYTEST) tests/unit

install: setup
	$(PYTEST) tests/install --numprocesses 2 --dist loadfile

contract: setup
	$(PYTEST) tests/contract

bed: setup
	$(PYTEST) tests/faults tests/bed -m "not long" $(AT_ONCE)

long: setup
	$(PYTEST) tests/faults tests/bed -m long $(AT_ONCE)

demo: setup
	$(PYTHON) -m sandbox.demo

# build/onedr_VERSION_all.deb
deb: setup
	packaging/deb $(PYTHON) build

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
