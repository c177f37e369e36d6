"""What a wheel puts onto a machine: the bot and the engine, without what made the shipped model."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("training", "evaluate")  # of engine/embedded


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what a wheel holds."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["build", "--build-base", str(folder / "base"), "--build-lib", str(folder / "lib")]
    egg = ["egg_info", "--egg-base", str(folder)]
    code = "from setuptools import setup; setup()"
    done = subprocess.run(
        [sys.executable, "-c", code, *egg, *build], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "lib"


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def test_what_made_the_shipped_model_is_left_out_and_not_missed(installed: Path) -> None:
    embedded = {path.name for path in (installed / "engine" / "embedded").iterdir()}
    assert {"pipeline", "upscaler", "__init__.py"} <= embedded
    assert not embedded & set(LEFT_OUT)
    absent = tuple(f"engine.embedded.{name}" for name in LEFT_OUT)
    for path in installed.rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith(absent)], path


def test_every_data_file_comes_along(installed: Path) -> None:
    """A new kind of file needs a pattern in pyproject.toml."""
    tracked = subprocess.run(["git", "ls-files", "bot", "engine"], cwd=ROOT, capture_output=True, text=True)
    known = tuple(f"engine/embedded/{name}/" for name in (*LEFT_OUT, "NOTICE.md"))
    wanted = {path for path in tracked.stdout.splitlines() if not f"{path}/".startswith(known)}
    assert wanted
    assert {path for path in wanted if not (installed / path).is_file()} == set()


def test_what_is_installed_runs(installed: Path, tmp_path: Path) -> None:
    """In an environment of the wheel and the libraries alone, child processes included."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "wheel.pth").write_text(f"{installed}\n{sysconfig.get_path('purelib')}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    imagine = [
        str(tmp_path / "venv" / "bin" / "python"),
        *("-m", "bot", "imagine", "a heart", "--count", "1"),
    ]
    env = environment | {"DEVICE": "cpu"}
    done = subprocess.run(imagine, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.png"))
