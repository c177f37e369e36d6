"""What `make run` does before Easel starts, and the lock that it installs from."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LISTS = ROOT / "requirements"
ENTRY = re.compile(r"^([a-z0-9-]+)===?([^\s;]+)(.*)\n((?: +--hash=.*\n)*)", re.MULTILINE)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, LISTS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(file: str) -> dict[str, tuple[str, set[str]]]:
    """Return the version and the hashes of each package of a list."""
    text = (LISTS / file).read_text()
    found = ENTRY.findall(text)
    assert len(found) == sum(1 for line in text.splitlines() if line and line[0] not in " #")
    return {name: (version, set(re.findall(r"sha256:(\w+)", hashes))) for name, version, _, hashes in found}


# --- the lock

LISTED = ("easel", "quantised", "dev", "torch")


def test_every_package_is_pinned_with_hashes_and_as_the_lock_of_uv_has_it() -> None:
    locked: dict[str, tuple[str, set[str]]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        locked[package["name"]] = (
            package["version"],
            {file["hash"].removeprefix("sha256:") for file in files},
        )
    del locked["easel"]

    parts = {name: part for file in LISTED for name, part in entries(f"{file}.txt").items()}
    assert parts == locked and all(hashes for _, hashes in parts.values())


def test_the_build_of_torch_for_the_cpu_is_of_the_same_version() -> None:
    version, hashes = entries("torch-cpu.txt")["torch"]
    assert version == entries("torch.txt")["torch"][0] + "+cpu"
    assert len(hashes) >= 8  # Python 3.11 to 3.14, on x86-64 and arm64


def test_what_easel_names_itself_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [
        *project["dependencies"],
        *(each for some in project["optional-dependencies"].values() for each in some),
    ]
    parts = {name: part for file in LISTED for name, part in entries(f"{file}.txt").items()}
    for requirement in named:
        name, _, version = requirement.partition(";")[0].partition("==")
        name = re.sub(r"\[.*\]|_", "", name).lower().replace(".", "-")
        assert parts[name][0] == version.strip(), f"{requirement}: run `make lock`"


def test_the_lock_names_no_other_registry_than_pypi() -> None:
    hosts = set(re.findall(r"https?://([^/\s\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    for file in LISTS.iterdir():
        assert file.is_dir() or "://" not in file.read_text(), file.name


def test_no_library_of_cuda_is_in_the_list_for_every_machine() -> None:
    assert not [name for name in entries("easel.txt") if re.match("(nvidia|cuda)-|triton", name)]


def test_the_hashes_of_a_build_for_the_cpu_are_read_from_an_index() -> None:
    page = "\n".join(
        f'<a href="/whl/torch-{version}-{tag}.whl#sha256={digest * 64}">'
        for version, tag, digest in (
            ("2.13.0%2Bcpu", "cp311-cp311-manylinux_2_28_x86_64", "b"),
            ("2.13.0%2Bcpu", "cp314-cp314-manylinux_2_28_aarch64", "a"),
            ("2.13.0%2Bcpu", "cp311-cp311-win_amd64", "c"),
            ("2.12.0%2Bcpu", "cp311-cp311-manylinux_2_28_x86_64", "d"),
        )
    )
    assert script("lock").listed(page, "2.13.0+cpu") == ["a" * 64, "b" * 64]


# --- which torch


class Pip:
    """Notes what would be installed; the builds that it cannot find fail."""

    def __init__(self, missing: str = "") -> None:
        self.asked: list[str] = []
        self._missing = missing

    def __call__(self, python: Path, *arguments: str, loud: bool = True) -> bool:
        (name,) = [Path(word).name for word in arguments if word.endswith(".txt")]
        index = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--extra-index-url"]
        self.asked.append(" ".join([name, *index]))
        assert "--require-hashes" in arguments and "--no-deps" in arguments
        return name != self._missing


HERE = "https://builds.example.org/cpu"


@pytest.mark.parametrize(
    ("build", "index", "card", "missing", "asked", "there"),
    [
        ("auto", "", True, "", ["torch.txt"], True),
        ("auto", "", False, "", ["torch-cpu.txt"], True),
        ("auto", "", False, "torch-cpu.txt", ["torch-cpu.txt", "torch.txt"], True),
        ("auto", HERE, False, "", [f"torch-cpu.txt {HERE}"], True),
        ("auto", HERE, False, "torch-cpu.txt", [f"torch-cpu.txt {HERE}"], False),
        ("cpu", "", True, "", ["torch-cpu.txt"], True),
        ("cpu", "", False, "torch-cpu.txt", ["torch-cpu.txt"], False),
        ("cuda", HERE, False, "", ["torch.txt"], True),
        ("gpu", "", False, "", [], False),
    ],
)
def test_torch_is_the_build_that_fits_the_machine(
    monkeypatch: pytest.MonkeyPatch,
    build: str,
    index: str,
    card: bool,
    missing: str,
    asked: list[str],
    there: bool,
) -> None:
    install, pip = script("install"), Pip(missing)
    monkeypatch.setattr(install, "pip", pip)
    monkeypatch.setattr(install, "has_card", lambda: card)
    monkeypatch.setattr(sys, "platform", "linux")
    assert install.torch(Path("python"), build, index) is there
    assert pip.asked == asked


def test_a_mac_takes_the_build_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    install, pip = script("install"), Pip()
    monkeypatch.setattr(install, "pip", pip)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert install.torch(Path("python"), "auto", "") and pip.asked == ["torch.txt"]


def test_who_waits_sees_each_package(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\necho 'Collecting numpy==2.4.6 (from -r easel.txt (line 1))'\necho '  Downloading it'\n"
        "echo 'Installing collected packages: numpy'\necho 'the cause' >&2\nexit 3\n"
    )
    fake.chmod(0o755)
    assert not script("install").pip(fake, "-r", "easel.txt")
    told, wrong = capfd.readouterr()
    assert told.splitlines() == ["Easel:   numpy==2.4.6", "Easel:   unpacking, which takes up to a minute"]
    assert wrong == "the cause\n"


# --- make


def made(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").touch()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "run", f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_an_older_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    answer = "import sys; sys.version_info = (3, 10, 12); exec(sys.argv[1])"
    old.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f"case $1 in --version) echo Python 3.10.12;; -c) {sys.executable} -c '{answer}' \"$2\";; esac\n"
    )
    old.chmod(0o755)
    done = made(tmp_path, str(old))
    assert done.returncode and not done.stdout
    sentence, _ = done.stderr.splitlines()
    assert sentence == (
        f"Easel needs Python 3.11 or newer, and {old} is Python 3.10.12: install a newer one beside it, "
        "then name it, as in: make run PYTHON=python3.12"
    )
    assert "venv" not in (tmp_path / "asked").read_text() and not (tmp_path / ".venv").exists()


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_no_python_at_all_is_said_too(tmp_path: Path) -> None:
    done = made(tmp_path, str(tmp_path / "nothing"))
    assert done.returncode and done.stderr.startswith("Easel needs Python 3.11 or newer")
