# `make run` and `make test` need Python 3.11 or newer, git and a package index; the rest they fetch, pinned and hashed.

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
UV := .uv/bin/uv

# A stamp is named after what it was made from, so that a changed lock is installed and an unchanged one costs nothing.
# The development set contains all that `run` needs: where it is installed, it is kept.
LOCKS := $(shell cat pyproject.toml requirements.txt requirements-dev.txt requirements-uv.txt | cksum | cut -d' ' -f1)
FOR_RUN := .venv/.locked-run-$(LOCKS)
FOR_DEV := .venv/.locked-dev-$(LOCKS)

.PHONY: run test chaos compose-test lint types contracts check lock clean

run: $(if $(wildcard .venv/.locked-dev-*),$(FOR_DEV),$(FOR_RUN))
	@exec .venv/bin/atelier up

test: $(FOR_DEV)
	.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile

chaos: $(FOR_DEV)
	.venv/bin/pytest -m chaos

compose-test: $(FOR_DEV)
	.venv/bin/pytest -m compose -s

lint: $(FOR_DEV)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/hadolint Dockerfile

types: $(FOR_DEV)
	.venv/bin/mypy

contracts: $(FOR_DEV)
	.venv/bin/lint-imports

check: lint types contracts test

lock: $(UV)
	$(UV) pip compile pyproject.toml $(COMPILE) -o requirements.txt
	$(UV) pip compile pyproject.toml $(COMPILE) --extra dev -o requirements-dev.txt
COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

clean:
	rm -rf .venv .uv *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find app models worker tests benchmarks -name __pycache__ -exec rm -rf {} +

# uv does not read pip's settings: an index or a certificate that is set up for pip is handed on.
define installed
	$(if $(wildcard .venv/bin/python),,$(UV) venv --quiet --python $(PYTHON) .venv)
	@index=$${PIP_INDEX_URL:-$$(.uv/bin/pip config get global.index-url 2>/dev/null || true)}; \
	cert=$${PIP_CERT:-$$(.uv/bin/pip config get global.cert 2>/dev/null || true)}; \
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; \
	[ -z "$$cert" ] || export SSL_CERT_FILE="$${SSL_CERT_FILE:-$$cert}"; \
	set -x; $(UV) pip sync --python .venv/bin/python --require-hashes $(1)
	$(UV) pip install --quiet --python .venv/bin/python --offline --no-deps --no-build-isolation --editable .
	@rm -f .venv/.locked-* && touch $@
endef

$(FOR_RUN): $(UV)
	$(call installed,requirements.txt)

$(FOR_DEV): $(UV)
	$(call installed,requirements-dev.txt)

$(UV): requirements-uv.txt
	@[ -n "$(PYTHON)" ] || { echo "Atelier needs Python 3.11 or newer; none was found (python3.11 ... python3.14, python3)." \
		"Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; } >&2
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@
