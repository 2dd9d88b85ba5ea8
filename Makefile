# `make run` and `make test` need Python 3.11 or newer, git, a package index and an npm registry; the rest they fetch,
# pinned and hashed.

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
UV := .uv/bin/uv

# A stamp is named after what it was made from, so that a changed lock is installed and an unchanged one costs nothing.
# The development set contains all that `run` needs: where it is installed, it is kept.
LOCKS := $(shell cat pyproject.toml requirements.txt requirements-dev.txt requirements-uv.txt | cksum | cut -d' ' -f1)
FOR_RUN := .venv/.locked-run-$(LOCKS)
FOR_DEV := .venv/.locked-dev-$(LOCKS)

# The page: built by Node, the system's where it is new enough to run TypeScript, else one from the package index.
WEB := app/web
SYSTEM_NODE := $(shell node -e 'const [a, b] = process.versions.node.split("."); process.exit(a >= 24 || (a == 22 && b >= 18) ? 0 : 1)' \
	2>/dev/null && command -v npm)
NODE := $(if $(SYSTEM_NODE),,.node/.locked-$(shell cksum < requirements-node.txt | cut -d' ' -f1))
NPM = $(if $(SYSTEM_NODE),,PATH="$(CURDIR)/.node/bin:$$PATH") npm --prefix $(WEB)
PACKAGES := $(WEB)/node_modules/.locked-$(shell cat $(WEB)/package.json $(WEB)/package-lock.json | cksum | cut -d' ' -f1)
PAGE := $(WEB)/dist/.built-$(shell find $(WEB) \( -name node_modules -o -name dist -o -name tests -o -name '*.d.ts' \) -prune \
	-o -type f -print | LC_ALL=C sort | xargs cat | cksum | cut -d' ' -f1)

.PHONY: run test test-web web e2e screenshots chaos compose-test lint types contracts check lock clean

run: $(if $(wildcard .venv/.locked-dev-*),$(FOR_DEV),$(FOR_RUN)) $(PAGE)
	@exec .venv/bin/atelier up

test: $(FOR_DEV) $(PAGE) test-web
	.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile

test-web: $(PACKAGES)
	$(NPM) test

web: $(PAGE)

e2e: $(FOR_DEV) $(PAGE)
	.venv/bin/pytest -m browser

screenshots: $(FOR_DEV) $(PAGE)
	.venv/bin/pytest -m screenshots

chaos: $(FOR_DEV)
	.venv/bin/pytest -m chaos

compose-test: $(FOR_DEV)
	.venv/bin/pytest -m compose -s

lint: $(FOR_DEV) $(PACKAGES)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/hadolint Dockerfile
	$(NPM) run check

types: $(FOR_DEV) $(PACKAGES)
	.venv/bin/mypy
	.venv/bin/python -m app.http.typescript > $(WEB)/src/api/schema.d.ts
	$(NPM) run types

contracts: $(FOR_DEV)
	.venv/bin/lint-imports

check: lint types contracts test

lock: $(UV)
	$(UV) pip compile pyproject.toml $(COMPILE) -o requirements.txt
	$(UV) pip compile pyproject.toml $(COMPILE) --extra dev -o requirements-dev.txt
COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

clean:
	rm -rf .venv .uv .node $(WEB)/node_modules $(WEB)/dist *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
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

$(PAGE): $(PACKAGES)
	$(NPM) run build
	@touch $@

$(PACKAGES): $(NODE)
	$(NPM) ci
	@touch $@

.node/.locked-%: requirements-node.txt
	rm -rf .node
	$(PYTHON) -m venv .node
	.node/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-node.txt
	@touch $@
