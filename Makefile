# Two commands, each with all its set-up: `make repro` (data to tables) and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Of another environment that is active: uv would install into it, Python take its packages first.
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport PYTHONPATH PYTHONSAFEPATH
# Programs and the package itself name the folder that they were set up in: elsewhere they are the
# old place's, if that is still there. An empty file says nothing.
MADE := $(shell cat .venv/ready 2>/dev/null)
ifneq ($(MADE),)
ifneq ($(MADE),$(CURDIR))
ELSEWHERE := elsewhere
endif
endif

.PHONY: elsewhere setup repro ablations paper ui test lint torture coverage mutants audit licences bench lock

repro: .venv/ready
	dvc repro

# The environment alone: `source .venv/bin/activate` has `rcan`, `dvc` and `mlflow` then.
setup: .venv/ready

# Every experiment of the paper, then its tables and figures: reports/index.html.
ablations: .venv/ready
	dvc repro
	dvc repro ablations/dvc.yaml

# The paper's own size on IU X-ray: RCAN, then three others. What is stopped goes on when it is run again:
# `timeout --signal INT 14m make paper`.
SETTINGS := -S data.name=iu_xray
SYSTEMS := transformer-1 r2gencmn-1 r2gen-1
paper: .venv/ready
	dvc exp run $(SETTINGS)
	RCAN_CELLS="$(SYSTEMS)" dvc repro $(SYSTEMS:%=ablations/dvc.yaml:evaluate@%)
	rm -rf reports/iu_xray/runs && python -m pipeline.publish reports/iu_xray/runs

# All runs in MLflow's interface, on this machine alone.
ui: .venv/ready
	rcan ui

test: .venv/ready
	python -m pytest $(TESTS)

lint: .venv/ready
	ruff format --check . && ruff check . && mypy && vulture && vulture rcan pipeline

# The long versions of tests/reliability, 50 minutes or more; then the table in docs/reliability.md.
torture: .venv/ready
	rm -rf .rcan/figures
	python -m pytest tests/reliability --torture --dist loadfile --figures .rcan/figures
	python tests/reliability/table.py .rcan/figures

# What no test runs, in tests/reliability/coverage.txt; child processes are counted too.
coverage: .venv/ready
	python -m pytest --cov --cov-report=
	coverage report > tests/reliability/coverage.txt; tail -3 tests/reliability/coverage.txt

# Small faults that no test sees, counted in tests/reliability/mutants.md; goes on where it stopped.
mutants: .venv/ready
	python tests/reliability/mutants.py $(MUTANTS)

# Known vulnerabilities of what is pinned; it asks PyPI.
audit: .venv/ready
	pip-audit --strict --disable-pip --no-deps -r requirements.lock

licences: .venv/ready
	python tests/reliability/licences.py

# Against peers that you have: make bench BENCH="--r2gencmn path/of/R2GenCMN --r2gen path/of/R2Gen"
bench: .venv/ready
	python -m benchmarks $(BENCH)

lock: .venv/ready
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev pyproject.toml \
	  --output-file requirements.lock --no-emit-index-url --no-annotate --no-header --upgrade

# The exact versions of requirements.lock in a virtual environment, made again when they change.
.venv/ready: requirements.lock pyproject.toml $(ELSEWHERE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ": make PYTHON=python3.11 repro")'
	@echo "Setting up .venv (several GB with PyTorch; once)"
	@$(PYTHON) -m venv $(if $(ELSEWHERE),--clear) .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --editable .
	@pwd -P > $@

elsewhere:
	@echo "This .venv was set up in $$(cat .venv/ready): it is made anew"
