# One word per task. Each target does its own set-up in .venv from Python 3.11, pip and make alone.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python

.PHONY: demo test test-floods check bench bench-long fuzz lock clean

demo: $(VENV)/.runtime
	$(RUN) -m bench demo

test: $(VENV)/.dev
	$(RUN) -m pytest -n 2 --dist loadgroup

# A minute and a half that only a submission has to take.
test-floods: $(VENV)/.dev
	SHOAL_FULL=1 $(RUN) -m pytest tests/hostile/test_floods.py

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@! grep -nE 'https?://' requirements/*.lock

bench: $(VENV)/.bench
	$(RUN) -m bench all

bench-long: $(VENV)/.bench
	$(RUN) -m bench all --long

# Each decoder for FUZZ_SECONDS seconds, 60 unless said otherwise.
fuzz: $(VENV)/.fuzz
	$(RUN) -m tests.fuzz

lock:
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

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.lock pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.bench: $(VENV)/.runtime requirements/bench.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/bench.lock
	touch $@

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/fuzz.lock
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
