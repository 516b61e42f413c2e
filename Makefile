# The commands of the project; `make` alone lists them. GNU make 4, Python 3.11 to 3.13.

PYTHON ?= python3
PARAMS ?=
DATA ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
NOTEBOOK := notebooks/flower_classification.ipynb
# Long enough for the demo's training on one slow core.
CELL_TIMEOUT := 1200

# JupyterLab refuses to run as root, as in a container, unless told.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# Debian splits ensurepip off into a package of its own; without it no .venv can be made.
FITS := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
FIND_PYTHON = $$(for p in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	"$$p" -c '$(FITS)' 2>/dev/null && { command -v "$$p"; break; }; done)
# A copy to execute notebooks in: their runs must not pile up in work_dir/, nor take each other's names.
COPY = rm -rf "$(1)" && mkdir -p "$(1)" && cp -R helpers notebooks report conftest.py pyproject.toml "$(1)"

.DEFAULT_GOAL := help
.PHONY: help setup lock run test lab notebook
.DELETE_ON_ERROR:

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## create .venv with the locked packages (PYTHON=python3.12 to choose)

$(STAMP): requirements.txt
	@$(BIN)/python -c '$(FITS)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		python="$(FIND_PYTHON)"; \
		if [ -z "$$python" ]; then \
			echo "Python 3.11, 3.12 or 3.13 is needed, with its venv module (Debian: apt-get install python3-venv)." >&2; \
			echo "Found: $$("$(PYTHON)" --version 2>&1 | head -n 1). Name another: make setup PYTHON=/path/to/python3.12" >&2; \
			exit 1; \
		fi; \
		echo "creating $(VENV) with $$python ($$("$$python" --version))"; \
		"$$python" -m venv --clear $(VENV); }
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -r requirements.txt
	@touch $@

lock: ## resolve requirements.in into requirements.txt, for all platforms
	@python="$(FIND_PYTHON)"; tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	"$$python" -m venv "$$tmp" && "$$tmp/bin/python" -m pip install --disable-pip-version-check -q uv && \
	UV_CUSTOM_COMPILE_COMMAND="make lock" "$$tmp/bin/uv" pip compile -q --universal --python-version 3.11 \
		requirements.in -o requirements.txt

run: $(STAMP) ## execute the notebook (PARAMS=notebooks/parameters/seed.yaml DATA=path ARGS="-p epochs 3")
	@$(BIN)/python -m helpers.headless $(if $(PARAMS),-f "$(PARAMS)") $(if $(DATA),--data "$(DATA)") $(ARGS)

test: $(STAMP) ## style, unit tests, the notebook in a browser, and the notebook's outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests
	@$(call COPY,work_dir/nbval)
	cd work_dir/nbval && "$(CURDIR)/$(BIN)/python" -m pytest --nbval --nbval-current-env \
		--nbval-cell-timeout=$(CELL_TIMEOUT) --nbval-sanitize-with "$(CURDIR)/tests/nbval_sanitize.cfg" notebooks
	@rm -rf work_dir/nbval

lab: $(STAMP) ## open the notebook in JupyterLab, on this machine only
	$(BIN)/python -m jupyterlab --ServerApp.ip=127.0.0.1 $(ALLOW_ROOT) $(NOTEBOOK)

notebook: $(STAMP) ## execute the committed notebook again and store its outputs
	@$(call COPY,work_dir/notebook)
	cd work_dir/notebook && FLOWERS_PROGRESS=0 PYDEVD_DISABLE_FILE_VALIDATION=1 \
		"$(CURDIR)/$(BIN)/python" -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.kernel_name=python3 --ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.timeout=$(CELL_TIMEOUT) $(NOTEBOOK)
	cp work_dir/notebook/$(NOTEBOOK) $(NOTEBOOK)
	@rm -rf work_dir/notebook
