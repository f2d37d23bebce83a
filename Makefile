# GNU make. Every target may be repeated; each does only what is not done yet.
# PORT=, HOST=, DATA_DIR= for `make run`; ARGS= for pytest; BENCH_JSON= for `make bench`.

VENV := .venv
PROCESSES := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# The checks read the settings, but no data: a key for one command and a database that nobody opens.
CHECKING := SECRET_KEY=only-for-checks-$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n') \
	DATABASE_URL=sqlite://:memory: EMBEDDED_BROKER=sqlalchemy

.PHONY: help setup run test bench lint format requirements dev browser
.DEFAULT_GOAL := help

help:
	@echo "make run     set up and serve at http://127.0.0.1:8000/ (PORT=, HOST=, DATA_DIR=)"
	@echo "make test    install what the tests need and run them (ARGS=)"
	@echo "make bench   measure (BENCH_JSON=file, BENCH_ONLY=part, BENCH_FILMS=sizes)"
	@echo "make lint    check style, types, templates, migrations, deployment settings"
	@echo "make format  put the code into shape"
	@echo "make requirements  pin the requirements anew"

setup:
	@sh .ci/venv.sh $(VENV) requirements.txt

dev: setup
	@sh .ci/venv.sh $(VENV) requirements-dev.txt

browser: dev
	@sh .ci/browser.sh $(PY)

# `exec`: a signal sent to make reaches the server itself, which then stops its children in order.
run: setup
	@exec $(PY) manage.py serve

# Each process has a database, a broker and files of its own; tests of one file stay together (tests/conftest.py).
# One thread for each sum: more only slow the other processes. Tests also wait, so one process more than cores.
test: browser
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n $(PROCESSES) --dist loadgroup $(ARGS)

bench: browser
	@$(PY) -m tests.bench $(if $(BENCH_JSON),--json "$(BENCH_JSON)") $(if $(BENCH_ONLY),--only $(BENCH_ONLY))

lint: dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-logo
	@export $(CHECKING); set -ex; \
	$(PY) -m mypy .; \
	$(PY) -m djlint --lint --quiet templates; \
	$(PY) manage.py makemigrations --check --dry-run; \
	HTTPS=1 ALLOWED_HOSTS=pneumoweb.example $(PY) manage.py check --deploy --fail-level WARNING

format: dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

requirements: dev
	@command -v uv >/dev/null 2>&1 || $(PIP) install --quiet uv
	@PATH="$$PWD/$(VENV)/bin:$$PATH"; set -ex; for name in requirements requirements-dev; do \
		uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
			--no-emit-find-links $(UPGRADE) --output-file $$name.txt $$name.in; \
	done
