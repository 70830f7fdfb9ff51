# Set-up, tests and demo. Both `make test` and `make demo` do all set-up on a fresh Debian 12 (as root or with sudo).
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
MYPY := .venv/bin/mypy
# Loops bind their variable to a lambda by a default value, of which mypy infers no type.
LAMBDAS := --disable-error-code misc
SCRIPTS := $(wildcard hooks/ceph_dr/datastore hooks/ceph_dr/image hooks/ceph_dr/vm remotes/onedr/bridge bench/* sandbox/commands/onevm)
FRONTEND ?= standin
export FRONTEND
# Three beds side by side, a test file each: a bed mostly waits. There is one pair of real front-ends only.
AT_ONCE := $(if $(filter standin,$(FRONTEND)),--numprocesses 3 --dist loadfile --no-loadscope-reorder)

STORY := tests/bed/test_planned.py tests/bed/test_failover.py tests/bed/test_drill.py tests/bed/test_returned.py

.PHONY: setup test quick lint types unit install contract browser bed long demo smoke releases mixed wheels deb clean

setup: .venv/ready

# The venv sees Debian's python3-rados and python3-rbd, which are in no registry.
.venv/ready: packages.apt setup.cfg pyproject.toml
	./sandbox/packages
	/usr/bin/python3 -m venv --system-site-packages .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	ln -sf ../../sandbox/sandbox .venv/bin/sandbox
	touch $@

# For tests in a browser. Node.js brings npm along, and excludes Debian's, where it is not Debian's own.
.venv/browser: .venv/ready
	./sandbox/packages chromium $(if $(shell command -v npm),,npm)
	$(PYTHON) -m sandbox.fireedge.libraries .venv/share/browser
	touch $@

# What needs no bed runs beside the beds, which mostly wait.
test: setup .venv/browser
	$(MAKE) --jobs 2 --keep-going quick bed

quick: setup
	$(MAKE) --jobs 1 --keep-going lint types unit contract install browser

lint: setup
	.venv/bin/ruff check .

# A run for each folder of tests: its files are modules of no package, and names come twice.
types: setup
	$(MYPY)
	$(MYPY) tests/again.py tests/prometheus.py
	MYPYPATH=tests/unit $(MYPY) $(LAMBDAS) tests/unit
	MYPYPATH=tests/contract $(MYPY) $(LAMBDAS) tests/contract
	MYPYPATH=tests/install $(MYPY) $(LAMBDAS) tests/install
	MYPYPATH=tests/browser $(MYPY) $(LAMBDAS) tests/browser
	MYPYPATH=tests/bed:tests/faults $(MYPY) $(LAMBDAS) --exclude faults/conftest.py tests/bed tests/faults
	$(MYPY) --scripts-are-modules $(filter-out %/stat,$(wildcard drivers/datastore/ceph_dr/[!_]*))
	$(MYPY) --scripts-are-modules $(wildcard drivers/tm/ceph_dr/[!_]*)
	MYPYPATH=tests/bed $(MYPY) --scripts-are-modules $(LAMBDAS) $(SCRIPTS)

unit: setup
	$(PYTEST) tests/unit

install: setup
	$(PYTEST) tests/install

contract: setup
	$(PYTEST) tests/contract

# OneDR's page for Sunstone in headless Chromium.
browser: .venv/browser
	$(PYTEST) tests/browser

# A file that fails is run once more with no other bed beside it; both results are printed (docs/testing.md).
bed: .venv/browser
	rm -rf .pytest_cache/bed
	$(PYTEST) tests/faults tests/bed -m "not long" -o cache_dir=.pytest_cache/bed $(AT_ONCE) || $(PYTHON) -m tests.again

long: .venv/browser
	$(PYTEST) tests/unit --hypothesis-profile many
	$(PYTEST) tests/install --hypothesis-profile many
	$(PYTEST) tests/faults tests/bed -m long $(AT_ONCE)

ifdef RELEASE
# Another release of Debian, and so of Ceph, in a tree of its own: RELEASE=trixie (18.2) or forky (20.2).
demo:
	sandbox/release $(RELEASE) make demo
else
demo: setup
	$(PYTHON) -m sandbox.demo
endif

# Protect, move, fail over, drill, reprotect: the story by which another release is judged.
smoke: setup
	$(PYTEST) $(STORY)

# The story and the demo on Ceph 18.2 and 20.2; the first time, their packages are fetched.
releases:
	for release in trixie forky; do sandbox/release $$release make demo smoke || exit; done

# Each site on a release of its own: trixie, forky, or - for this machine's.
SITE_A ?= -
SITE_B ?= trixie
mixed: setup
	sandbox/mixed $(SITE_A) $(SITE_B) $(PYTEST) tests/bed/test_round_trip_long.py

# What install.sh takes from a package index, for front-ends without one: of this machine's architecture and Python.
wheels:
	/usr/bin/python3 -m venv --clear build/pip
	for pins in requirements requirements-build; do \
	    build/pip/bin/pip download --quiet --disable-pip-version-check --require-hashes -r share/$$pins.txt -d wheels || exit; done

# build/onedr_VERSION_all.deb
deb: setup
	packaging/deb $(PYTHON) build

clean:
	rm -rf .venv build dist wheels *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
