# Two commands: `make run` and `make test`. Both make the virtual environment first, from the lock in requirements/.
# On a machine without an NVIDIA card, TORCH_INDEX may name where torch's build for the CPU is; TORCH=cpu or cuda
# chooses the build whatever the machine has.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait more than they compute, so three at a time suit two cores.
WORKERS ?= 3

# pytest would rewrite every test's assertions anew in each of its workers: ten seconds of CPU.
unexport PYTHONDONTWRITEBYTECODE

# What `pybabel extract` looks for: see docs/languages.md.
MESSAGES := build/easel.pot
CATALOGS := bot/i18n/catalogs

.PHONY: run test slow check bench soak mutants messages language install lock format clean

run: $(VENV)/.installed
	$(BIN)/python -m bot run

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m bot.i18n

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "slow and not soak"

soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m soak

mutants: $(VENV)/.installed-dev
	$(BIN)/python -m tests.mutants

messages: $(MESSAGES)
	$(BIN)/pybabel -q update -i $(MESSAGES) -d $(CATALOGS) -D easel --no-fuzzy-matching --ignore-obsolete --no-wrap

language: $(MESSAGES)
	$(BIN)/pybabel -q init -i $(MESSAGES) -d $(CATALOGS) -D easel -l $(CODE) --no-wrap

.PHONY: $(MESSAGES)
$(MESSAGES): $(VENV)/.installed-dev
	mkdir -p build
	$(BIN)/pybabel -q extract -F babel.cfg -k "_ ngettext:1,2" --no-wrap --sort-by-file --no-location -o $@ bot engine

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.installed

LISTS := pyproject.toml $(wildcard requirements/*.txt)

$(VENV)/.installed: $(LISTS)
	@$(CHECK_PYTHON)
	@$(PYTHON) requirements/install.py $(VENV)
	@touch $@

$(VENV)/.installed-dev: $(LISTS)
	@$(CHECK_PYTHON)
	@$(PYTHON) requirements/install.py $(VENV) --dev
	@touch $@ $(VENV)/.installed

define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
	echo "Easel needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -1):" \
	"install a newer one beside it, then name it, as in: make run PYTHON=python3.12" >&2; exit 1; }
endef

lock: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/python requirements/lock.py $(BIN)/uv

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
