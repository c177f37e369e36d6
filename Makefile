# Two commands: `make run` and `make test`. Both make the virtual environment first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait more than they compute, so three at a time suit two cores.
WORKERS ?= 3

# What `pybabel extract` looks for: see docs/languages.md.
MESSAGES := build/easel.pot
CATALOGS := bot/i18n/catalogs

.PHONY: run test check bench soak mutants messages language install format clean

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

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
