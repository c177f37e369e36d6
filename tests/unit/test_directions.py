"""Imports point one way: adapters → services → … → models → the engine's public names."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bot.easel import Easel

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that a file names in an import, wherever in the file."""
    found: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return tuple(found)


def importers(package: str, *wanted: str) -> set[str]:
    """The files of a package that import one of the wanted packages."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in wanted or any(name.startswith(f"{each}.") or name == each for each in wanted)
    }


def test_the_engine_knows_nothing_of_the_bot() -> None:
    assert importers("engine", "bot") == set()


def test_the_bot_never_imports_torch() -> None:
    assert importers("bot", *HEAVY) == set()


def test_only_the_store_speaks_to_a_database() -> None:
    found = importers("bot", "sqlmodel", "sqlalchemy", "alembic", "pysqlite3", "sqlite3")
    assert found and all(path.startswith("bot/store/") for path in found)


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("discord", "bot/adapters/discord"),
        ("slack_bolt", "bot/adapters/slack"),
        ("slack_sdk", "bot/adapters/slack"),
        ("aiohttp", ("bot/adapters/", "bot/rewriting/text_model.py")),  # the latter asks another server
        ("rich", "bot/adapters/cli"),
    ],
)
def test_a_surface_s_library_stays_in_its_adapter(library: str, home: str | tuple[str, ...]) -> None:
    assert all(path.startswith(home) for path in importers("bot", library))


def test_adapters_are_imported_by_the_command_line_and_the_wiring_alone() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in modules("bot")
        for name in imports(path)
        if name.startswith("bot.adapters") and name != "bot.adapters.base"
    }
    assert {path for path in found if not path.startswith("bot/adapters/")} <= {
        "bot/__main__.py",
        "bot/app.py",
        "bot/surfaces.py",  # names them
    }


def test_services_are_handed_out_by_the_composition_root_alone() -> None:
    """Whoever could import it could look up what it was not given."""
    found = importers("bot", "bot.app", "bot.easel")
    assert {path for path in found if not path.startswith("bot/adapters/")} <= {
        "bot/__main__.py",
        "bot/app.py",
        "bot/surfaces.py",  # says that a chat's adapter is given them
        "bot/admin/admin_socket.py",  # the surface of the command line
        "bot/admin/painting.py",  # its jobs
    }


def test_no_service_makes_another() -> None:
    """`app.build` makes each once, of what it made before."""
    built = {field.type for field in dataclasses.fields(Easel)} - {"Installations", "dict[str, ChatAdapter]"}
    built |= {"JobService", "JobTracker", "MessageSync"}
    makers = {
        (path.relative_to(ROOT).as_posix(), node.func.id)
        for path in modules("bot")
        if "adapters" not in path.parts  # which have namesakes of their own
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in built
    }
    assert makers == {("bot/app.py", name) for name in built}


def imported(path: Path, known: Collection[str]) -> set[str]:
    """Which of the known modules a file imports: of `from package import name` the module of that name."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & set(known) or {node.module}
    return found & set(known)


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("bot", "engine")
        for path in modules(package)
    }
    TopologicalSorter({name: imported(path, paths) for name, path in paths.items()}).prepare()


def loaded_after(statement: str) -> set[str]:
    """The top packages in a fresh interpreter after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import bot.app, bot.easel, bot.adapters.cli, bot.adapters.web.adapter, bot.doctor",
        "import engine.types, engine.errors, engine.scheduling.job_queue, engine.workers.dispatcher",
        "import engine.workers.process, engine.workers.fake, engine.catalog",
    ],
)
def test_importing_loads_no_torch(statement: str) -> None:
    assert not loaded_after(statement) & set(HEAVY)


def test_a_worker_that_imports_the_main_module_loads_little() -> None:
    """Spawned workers import `__main__` again: it must not drag the web server and the database in."""
    loaded = loaded_after("import bot.__main__")
    assert not loaded & {"aiohttp", "sqlalchemy", "sqlmodel", "discord", "slack_bolt", "PIL", *HEAVY}


def test_nothing_but_the_surfaces_loads_their_libraries() -> None:
    assert not loaded_after("import bot.app") & {"discord", "slack_bolt"}


def test_a_class_name_is_used_once() -> None:
    """Two classes of one name make a reader look at the imports each time."""
    homes: dict[str, list[str]] = {}
    for package in ("bot", "engine"):
        for path in modules(package):
            for node in parsed(path).body:
                if isinstance(node, ast.ClassDef):
                    homes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
