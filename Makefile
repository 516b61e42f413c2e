# Everything the project does, one line each: `make help`.
# On Windows, or without make, use the plain commands in the README.

PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p; done))
BIN := .venv/bin
NOTEBOOK := notebooks/flower_classification.ipynb
NOTEBOOKS := $(NOTEBOOK) notebooks/closer_look.ipynb notebooks/beyond_the_baseline.ipynb
PARAMS ?=
DATA ?=
RUN ?=
SUB ?=
ROSTER ?=
OUT ?=
QUICK ?=
FORCE ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run look test report figures predict export runs release check grade submit faults audit bench bench-gpu lab notebook lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1	\2/' | expand -t 16

setup: .venv/installed ## create .venv with the pinned packages (once; run and test do it too)

.venv/installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: install one, or say make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Installing the pinned packages into .venv, once: 6 GB with PyTorch, some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m helpers weights mobilenet_v2 || echo "A run that starts from them, as the demo does, looks for them again."
	@$(BIN)/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements 2>/dev/null || true
	@touch $@

run: setup ## execute the notebook; PARAMS=notebooks/parameters/published.yaml DATA=path for another run
	@$(BIN)/python -m helpers run $(if $(PARAMS),-f "$(PARAMS)") $(if $(DATA),--data "$(DATA)") $(ARGS)

test: setup ## lint, unit tests, the notebook re-executed and compared, JupyterLab in a browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
	rm -rf work_dir/nbval
	FLOWERS_WORK_DIR=work_dir/nbval $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=900 \
		--nbval-sanitize-with tests/nbval_sanitize.cfg -p no:cacheprovider $(NOTEBOOKS)

report: setup ## report.pdf of RUN=work_dir/<run>, without RUN the published one; ARGS='--author "…" --email …'
	@$(BIN)/python -m helpers report $(if $(RUN),"$(RUN)",report/results/published-mobilenet_v2 --output report/report.pdf) $(ARGS)

figures: setup ## draw every figure of a finished run again; RUN=work_dir/<run>, DATA=path if its photos were moved
	@$(BIN)/python -m helpers figures "$(RUN)" $(if $(DATA),--data "$(DATA)")

predict: setup ## classify your own photos with a finished run: DATA=photo or folder, RUN=work_dir/<run>
	@test -n "$(DATA)" || { echo "Name a photo or a folder: make predict DATA=photos RUN=work_dir/<run>"; exit 1; }
	@$(BIN)/python -m helpers predict "$(DATA)" $(if $(RUN),--run "$(RUN)") $(ARGS)

look: setup ## look closer at a finished run: mistakes, saliency, calibration, own photos; RUN=work_dir/<run>
	@$(BIN)/python -m helpers look $(if $(RUN),"$(RUN)") $(if $(DATA),--data "$(DATA)") $(ARGS)

export: setup ## export a run's model, checked and timed: RUN=work_dir/<run>, DATA=path if its photos were moved
	@test -n "$(RUN)" || { echo "Name a finished run: make export RUN=work_dir/demo-mobilenet_v2"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-export.txt
	$(BIN)/python -m helpers export "$(RUN)" --onnx --time $(if $(DATA),--data "$(DATA)")

runs: setup ## compare finished runs in a table and a figure (work_dir/runs.png); ARGS="--csv" or names of runs
	@$(BIN)/python -m helpers runs $(ARGS)

faults: setup ## kill and resume 200 trainings and notebooks, fuzz 20,000 inputs, grade 120 hand-ins
	FUZZ=20000 $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal tests/faults tests/training/test_checkpointing.py tests/training/test_monitor.py \
		tests/data/test_decode.py tests/data/sources/test_archives.py tests/teaching/test_checks.py
	$(BIN)/python -m tests.faults.kills --kills 200 --notebooks 12

audit: setup ## check the pinned packages against known vulnerabilities (asks a server)
	$(BIN)/python -m venv .venv/audit && .venv/audit/bin/python -m pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip

bench: setup ## benchmark against the assignment's template; QUICK=1 in minutes, DATA=path, ARGS="--backbone resnet18"
	$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick) $(if $(DATA),--data "$(DATA)") $(ARGS)

bench-gpu: setup ## benchmark on one CUDA device, under 8 minutes: DATA=path; writes benchmarks/results/gpu.json
	$(BIN)/python -m benchmarks.gpu $(if $(DATA),--data "$(DATA)") $(ARGS)

release: setup ## write the blank assignment for students into OUT=folder
	@$(BIN)/python -m teaching release "$(OUT)" $(ARGS)

check: setup ## check a hand-in before the deadline: SUB=main.py or a notebook
	@$(BIN)/python -m teaching check "$(SUB)" $(ARGS)

grade: setup ## grade a folder of hand-ins: SUB=folder ROSTER=roster.csv; use a container for strangers' code
	@test -n "$(SUB)" || { echo "Name the folder of hand-ins: make grade SUB=hand-ins ROSTER=roster.csv"; exit 1; }
	@$(BIN)/python -m teaching grade "$(SUB)" $(if $(ROSTER),--roster "$(ROSTER)") $(ARGS)

submit: setup ## bundle a finished run as a hand-in: RUN=work_dir/<run> ARGS='--student ID --name "…"'
	@test -n "$(RUN)" || { echo "Name a finished run: make submit RUN=work_dir/demo-mobilenet_v2"; exit 1; }
	@$(BIN)/python -m teaching submit "$(RUN)" $(ARGS)

# Progress bars are text; tqdm would warn of it in every notebook.
lab notebook: export PYTHONWARNINGS = ignore:IProgress not found

lab: setup ## open the notebook in JupyterLab (127.0.0.1 only, with a token)
	$(BIN)/jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) \
		--ServerApp.root_dir=. --LabApp.default_url=/lab/tree/$(NOTEBOOK)

notebook: setup ## re-execute and store the committed notebooks; refused if the training takes twice its time (FORCE=1)
	rm -rf work_dir/refresh
	for notebook in $(NOTEBOOKS); do \
		FLOWERS_WORK_DIR=work_dir/refresh $(BIN)/jupyter nbconvert --log-level=ERROR --to notebook --execute \
			--output-dir work_dir/refresh --ExecutePreprocessor.record_timing=False \
			--ExecutePreprocessor.timeout=-1 $$notebook || exit 1; done
	@$(BIN)/python -m helpers publish --refreshed work_dir/refresh $(if $(FORCE),--force)

lock: setup ## compile requirements.in into requirements.txt, for every platform
	$(BIN)/python -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-header requirements.in -o requirements.txt
	.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-header requirements-export.in -o requirements-export.txt

clean: ## remove caches and drawn or downloaded photos; runs are kept
	rm -rf work_dir/photos work_dir/cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
