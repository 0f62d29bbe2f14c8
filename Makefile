# Everything runs in .venv, which is made first. Nothing is installed by hand: requirements.lock holds the tested set of
# packages with the hashes of their files; torch and torchvision, which have other builds for other machines, are pinned
# by version (constraints.txt).
#   PYTHON=python3.12 make book      another interpreter
#   TORCH=cpu make book              PyTorch without CUDA, where pip finds that build; TORCH_INDEX=URL names an index
#   CXR_FAST=1 make book             small sizes and few epochs: a quick look
#   CXR_DATA=pneumonia make book     the chapters on the real X-rays

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

BENCHES := starting phantom pipeline training processes large cam inspector live grading book

# One torch thread a worker: more threads than cores make the workers wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# TORCH=cpu asks for the build without CUDA, and fails where pip does not find it. TORCH_INDEX is the address of a package
# index for torch and torchvision alone.
ifneq ($(filter-out cpu,$(TORCH)),)
$(error TORCH=$(TORCH): the only value is cpu; for other builds name an index that has them, TORCH_INDEX=URL)
endif
TORCH_PIN := $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_ARGS = $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") -c constraints.txt \
  "torch$(if $(filter Linux,$(shell uname)),$(if $(TORCH),==$(TORCH_PIN)+cpu))" torchvision

define NO_DRIVER
No NVIDIA driver was found here. On Linux, PyTorch usually comes with CUDA: 2.8 GB to download, 5 GB on the disk.
The build for processors has 0.2 GB and 0.8 GB. To get it, stop (Ctrl-C) and run
  make $(MAKECMDGOALS) TORCH=cpu TORCH_INDEX=URL
where URL is an index that has it, such as PyTorch's own (its page Get started shows the address for pip and CPU).
TORCH=cpu alone does where pip is set up to find it (pip.conf, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS).
endef
define NO_CPU_BUILD
pip found no torch $(TORCH_PIN)+cpu. Name an index that has it: TORCH_INDEX=URL. PyTorch's own is one: its page
Get started shows the address for pip and CPU. Without TORCH=cpu the usual build is installed.
endef
export NO_DRIVER NO_CPU_BUILD

.DEFAULT_GOAL := help
.PHONY: help install book test test-library test-slow proof fuzz faults doctor app colab lint generated gettext nbgrader questions address publish update bench constraints mathjax tfjs \
  clean distclean

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
	@echo "Installing the packages into $(VENV), once: 0.4 GB to download, 1.5 GB on the disk, and PyTorch."
	@if [ "$$(uname)" = Linux ] && [ -z "$(TORCH)$(TORCH_INDEX)" ] && ! command -v nvidia-smi >/dev/null; then echo "$$NO_DRIVER"; fi
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(if $(TORCH)$(TORCH_INDEX),$(BIN)/python -m pip install --disable-pip-version-check $(TORCH_ARGS) \
	  $(if $(TORCH),|| { echo "$$NO_CPU_BUILD"; exit 1; }))
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[book,app,onnx,dev]" -e ./coursekit
	@touch $@

install: $(STAMP) ## everything into .venv; the other targets do it by themselves

book: $(STAMP) ## the course as a website: _build/html/index.html
	@$(BIN)/python -m coursekit.build_book

test: $(STAMP) ## the tests (SLOW=1: the slow ones too; ARGS="-k phantom": more for pytest)
	$(PYTEST) $(if $(SLOW),,-m "not slow") $(ARGS)

# The tests that know cxrlib alone: what the weekly job runs with the oldest packages allowed.
LIBRARY_TESTS := $(shell grep -LE "coursekit|tools|test_book|ROOT =" tests/test_*.py)

test-library: $(STAMP) ## the fast tests of cxrlib alone
	$(PYTEST) -m "not slow and not browser" $(LIBRARY_TESTS) $(ARGS)

test-slow: $(STAMP) ## the slow tests alone
	$(PYTEST) -m slow $(ARGS)

proof: $(STAMP) ## prove the exercises' checks with right and wrong answers (COURSE=../private: those of a private folder)
	$(if $(COURSE),CXR_COURSE="$$(cd "$(COURSE)" && pwd)") $(PYTEST) tests/test_exercises.py $(ARGS)

fuzz: $(STAMP) ## bad input for everything that reads files: how much of it is survived (ARGS="--only dicom --seed 3")
	@$(BIN)/python -m tools.fuzz $(ARGS)

faults: $(STAMP) ## kill what works at random moments and start it again; full disks and odd homes (ARGS="--only train")
	@$(BIN)/python -m tools.faults $(ARGS)

doctor: ## what is installed, what is missing, and the remedy (ARGS=--grading: fail without a sandbox too)
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m coursekit.doctor $(ARGS); else $(PYTHON) -m coursekit.doctor $(ARGS); fi

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

gettext: $(STAMP) ## collect what is to be translated: BOOK_LANG=ko (ARGS="chapters/07_grad_cam": begin with a page)
	@test -n "$(BOOK_LANG)" || { echo "Into which language? make gettext BOOK_LANG=ko"; exit 1; }
	@$(BIN)/python -m coursekit.language "$(BOOK_LANG)" $(ARGS)

nbgrader: $(STAMP) ## a course folder for nbgrader, with the answers, for teachers only: nbgrader/ (OUT=folder)
	$(BIN)/python -m coursekit.platforms nbgrader $(or $(OUT),nbgrader)

.PHONY: links
links: $(STAMP) ## do the addresses that the book links still answer? (needs the network)
	@$(BIN)/python -m coursekit.links

.PHONY: slides reveal
slides: $(STAMP) ## slides of the chapters, beside the built book: _build/html/slides (ARGS="03 --pdf")
	@$(BIN)/python -m coursekit.slides $(ARGS)

questions: $(STAMP) ## the questions of the chapters for Moodle, Canvas, Blackboard: _build/questions (OUT=folder ARGS="--chapter 03")
	@$(BIN)/python -m coursekit.questions $(if $(OUT),"$(OUT)") $(ARGS)

address: $(STAMP) ## set the repository's address everywhere: URL=https://github.com/OWNER/NAME (BRANCH=main)
	@test -n "$(URL)" || { echo "Which address? make address URL=https://github.com/OWNER/NAME"; exit 1; }
	$(BIN)/python -m coursekit.address "$(URL)" $(if $(BRANCH),--branch "$(BRANCH)")

publish: book ## copy the built book into a folder that a web server shows: OUT=folder
	@test -n "$(OUT)" || { echo "Into which folder? make publish OUT=/var/www/course"; exit 1; }
	@test ! -e "$(OUT)" || test -f "$(OUT)/searchindex.js" || { \
	  echo "$(OUT) is there and holds no earlier book: name a folder that does not exist yet"; exit 1; }
	@$(BIN)/python -m coursekit.build_notes
	@rm -rf "$(OUT)" && mkdir -p "$(OUT)" && cp -R _build/html/. "$(OUT)/" && touch "$(OUT)/.nojekyll"
	@echo "The book is in $(OUT): its first page is $(OUT)/index.html"

update: ## the project's later fixes, into your fork (once FROM=https://github.com/OWNER/NAME, the one that you forked)
	@git diff --quiet HEAD || { echo "Commit your changes first; git status lists them."; exit 1; }
	@git remote get-url upstream >/dev/null 2>&1 || test -n "$(FROM)" || { \
	  echo "Which repository did you fork? make update FROM=https://github.com/OWNER/NAME"; exit 1; }
	$(if $(FROM),git remote remove upstream 2>/dev/null || true; git remote add upstream "$(FROM)")
	git fetch upstream
	@git -c merge.ours.driver=true merge --no-edit upstream/$(or $(BRANCH),main) || { \
	  git diff --name-only --diff-filter=U | grep . && echo "Both sides have edited these: mend them, git commit, make generated."; \
	  exit 1; }
	@$(MAKE) generated
	@git diff --quiet || git commit --all --message "Make the generated files again"

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

tfjs: ## fetch TensorFlow.js from npm into cxrlib/widgets/tfjs.js again
	tools/tfjs.sh

reveal: ## fetch reveal.js, which the slides need, from npm into book/_static again
	tools/reveal.sh

clean: ## remove what was built (not .venv)
	rm -rf _build dist .pytest_cache .ruff_cache .hypothesis
	find cxrlib coursekit tests tools book benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove .venv too
	rm -rf $(VENV) .colab .bench
