# One word per task. Each target does its own set-up in .venv from Python 3.11, pip and make alone.
# What stands behind `##` is what `make help` says of a target.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
TEST   := -m pytest -n 2 --dist loadgroup --durations=10

.PHONY: help demo test test-floods check check-all bench bench-long fuzz lock clean

help: ## list these targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## a tracker and four clients on this machine: three share a file, the fourth fetches it
	$(RUN) -m bench demo

test: $(VENV)/.dev ## the tests (six to seven minutes on two cores), and the slowest ten of them
	$(RUN) $(TEST)

test-floods: $(VENV)/.dev ## floods at full size: a minute and a half that only a submission has to take
	SHOAL_FULL=1 $(RUN) -m pytest tests/hostile/test_floods.py

check: $(VENV)/.dev ## ruff, mypy, and that no lock names a registry
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@! grep -nE 'https?://' requirements/*.lock

check-all: check ## check, then the tests with the coverage of branches; names the files below 90 %
	$(RUN) -m coverage erase
	$(RUN) -m coverage run $(TEST)
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage json --quiet -o - | $(RUN) -m tests.low_coverage 90

bench: $(VENV)/.bench ## measure against other programs and write bench/RESULTS.md: nine minutes on two cores
	$(RUN) -m bench all

bench-long: $(VENV)/.bench ## what takes an hour to measure: swarms, faults, floods
	$(RUN) -m bench all --long

fuzz: $(VENV)/.fuzz ## throw bytes at every decoder, FUZZ_SECONDS each (60 unless said otherwise)
	$(RUN) -m tests.fuzz

lock: ## renew requirements/*.lock after a change of pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml -o requirements/runtime.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra dev pyproject.toml -o requirements/dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra bench pyproject.toml -o requirements/bench.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra fuzz pyproject.toml -o requirements/fuzz.lock

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements/runtime.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/runtime.lock
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.lock pyproject.toml tracker/version.py
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.bench: $(VENV)/.runtime requirements/bench.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/bench.lock
	touch $@

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/fuzz.lock
	touch $@

clean: ## remove .venv and what was built
	rm -rf $(VENV) build dist *.egg-info
