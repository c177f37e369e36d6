"""What is written about Easel agrees with Easel."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from bot import __main__
from bot.surfaces import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_readme_lists_every_setting() -> None:
    assert Settings.markdown_table() in README


def test_every_link_and_picture_of_the_documents_exists() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_module_that_the_documents_name_exists() -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("[be]*/**/*.py")}
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name in re.findall(r"`([a-z][a-z_/0-9]*/[a-z_0-9]+\.py)`", document.read_text()):
            known = (ROOT / name).exists() or any(path.endswith(f"/{name}") for path in modules)
            assert known, f"{document.name}: {name}"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake (\w+)", README)):
        if target in {"run", "test", "check", "bench"}:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_commands_for_whoever_runs_easel_name_the_python_that_has_it() -> None:
    """The system's own has none of its packages."""
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        if document.stem in ("architecture", "adapters"):  # for developers
            continue
        for line in document.read_text().splitlines():
            settings = line.startswith("| `") and document.stem == "README"  # from the settings' own words
            bare = re.search(r"(?<!uv run )(?<!/)\bpython -m bot", line)
            assert settings or not bare, f"{document.name}: {line}"


@pytest.mark.parametrize(
    "line", [line for line in README.splitlines() if line.startswith(".venv/bin/python -m bot")]
)
def test_every_command_line_of_the_readme_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)[3:]

    assert __main__.parser().parse_args(words)


def rooms() -> list[str]:
    """Return the paths that the architecture's table of rooms names; a folder's end with a slash."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = []
    for row in text.splitlines():
        if row.startswith("| `"):
            first, *others = re.findall(r"`([^`]+)`", row.split("|")[1])
            found += [first, *(str(Path(first).parent / other) for other in others)]
    return found


def test_every_module_the_architecture_names_exists() -> None:
    assert len(rooms()) > 15
    for path in rooms():
        assert (ROOT / path).exists(), path


def test_every_module_has_a_room() -> None:
    """It is named in the table, or its folder is as a whole."""
    known = set(rooms())
    for package in ("bot", "engine"):
        for module in sorted((ROOT / package).rglob("*.py")):
            path = module.relative_to(ROOT)
            folders = {f"{parent}/" for parent in path.parents}
            assert path.name == "__init__.py" or str(path) in known or known & folders, path


def test_the_compose_file_builds_this_project() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    service = compose["services"]["easel"]
    build = ROOT / "docker" / service["build"]["context"]

    assert (build / service["build"]["dockerfile"]).exists()
    assert set(service["environment"]) <= {setting.upper() for setting in Settings.model_fields}
    volumes = {volume for each in compose["services"].values() for volume in each["volumes"]}
    assert {volume.split(":")[0] for volume in volumes} == set(compose["volumes"])


def test_the_dockerfile_copies_what_exists() -> None:
    instructions = [
        line.split() for line in (ROOT / "docker" / "Dockerfile").read_text().splitlines() if line
    ]
    copied = [word for words in instructions if words[0] == "COPY" for word in words[1:-1]]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
    known = {
        "FROM",
        "ARG",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "ENV",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
        "#",
    }
    assert {words[0] for words in instructions} <= known
