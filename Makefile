# Everything runs in .venv, which is made first. Nothing is installed by hand: requirements.lock holds the tested set of
# packages with the hashes of their files; torch and torchvision, which have other builds for other machines, are pinned
# by version (constraints.txt).
#   PYTHON=python3.12 make book      another interpreter
#   CXR_FAST=1 make book             small sizes and few epochs: a quick look
#   CXR_DATA=pneumonia make book     the chapters on the real X-rays

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

BENCHES := starting phantom pipeline training processes large cam inspector grading book

# One torch thread a worker: more threads than cores make the workers wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install book test test-slow fuzz faults doctor app colab lint generated address bench constraints mathjax clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml coursekit/pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "cxrlib needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)."; \
	  exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the packages into $(VENV): once, some minutes, about 3 GB."
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[book,app,dev]" -e ./coursekit
	@touch $@

install: $(STAMP) ## everything into .venv; the other targets do it by themselves

book: $(STAMP) ## the course as a website: _build/html/index.html
	@$(BIN)/python -m coursekit.build_book

test: $(STAMP) ## the tests (SLOW=1: the slow ones too; ARGS="-k phantom": more for pytest)
	$(PYTEST) $(if $(SLOW),,-m "not slow") $(ARGS)

test-slow: $(STAMP) ## the slow tests alone
	$(PYTEST) -m slow $(ARGS)

fuzz: $(STAMP) ## bad input for everything that reads files: how much of it is survived (ARGS="--only dicom --seed 3")
	@$(BIN)/python -m tools.fuzz $(ARGS)

faults: $(STAMP) ## kill what works at random moments and start it again; full disks and odd homes (ARGS="--only train")
	@$(BIN)/python -m tools.faults $(ARGS)

doctor: ## what is installed, what is missing, and the remedy
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m coursekit.doctor; else $(PYTHON) -m coursekit.doctor; fi

app: $(STAMP) ## a web page that looks at X-rays with a trained model (RUN=runs/…; default: one trained on phantoms)
	@$(BIN)/cxr app $(if $(RUN),"$(RUN)") $(if $(PORT),--port $(PORT))

colab: $(STAMP) ## run the notebooks in a fresh environment of Google Colab's versions (.colab)
	@$(BIN)/python -m tools.colab_contract
	@OMP_NUM_THREADS=1 $(BIN)/python -m tools.colab_run

lint: $(STAMP) ## ruff over the code: format, rules, docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

generated: $(STAMP) ## notebooks/ from chapters/, exercises/ from solutions/, tables from results/: after editing them
	$(BIN)/python -m coursekit.notebooks
	$(BIN)/python -m coursekit.exercises
	$(BIN)/python -m coursekit.results

address: $(STAMP) ## set the repository's address everywhere: make address URL=https://github.com/OWNER/NAME
	@test -n "$(URL)" || { echo "Which address? make address URL=https://github.com/OWNER/NAME"; exit 1; }
	$(BIN)/python -m coursekit.address "$(URL)" $(if $(BRANCH),--branch "$(BRANCH)")

bench: $(STAMP) ## measure the performance figures again
	@for name in $(BENCHES); do echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python -m coursekit.results
	@sed -n "/^|/p" book/performance.md # every figure, and whether it meets its bar

constraints: $(STAMP) ## pin what .venv holds now as the tested set, with the hashes of all its files
	$(BIN)/python -m pip install --quiet uv
	@echo "# The tested set: what the book is built and the tests are run with. Made by \`make constraints\`." > constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable --exclude uv | sed -E 's/\+[a-z0-9.]+$$//' >> constraints.txt
	$(BIN)/uv pip compile --quiet --no-deps --no-annotate --generate-hashes --no-emit-package torch \
	  --no-emit-package torchvision --custom-compile-command "make constraints" constraints.txt -o requirements.lock

mathjax: ## fetch MathJax from npm into book/_static again
	tools/mathjax.sh

clean: ## remove what was built (not .venv)
	rm -rf _build dist .pytest_cache .ruff_cache .hypothesis
	find cxrlib coursekit tests tools book benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove .venv too
	rm -rf $(VENV) .colab .bench
