"""`python -m tests.gpu` runs from end to end where only the engine's needs are installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.models import Recipe, parameters
from tests.gpu.results import markdown

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OF_THE_BOT = (
    "aiohttp alembic c2pa confusable_homoglyphs cryptography discord dotenv"
    " prometheus_client psycopg pysqlite3 pytest rich slack_bolt slack_sdk sqlalchemy sqlmodel structlog bot"
).split()

BLOCKER = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in {names!r} else find(name, path, target)

PathFinder.find_spec = find_spec
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "sitecustomize.py").write_text(BLOCKER.format(names=OF_THE_BOT))
    file = folder / "figures.json"
    environment = os.environ | {"PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tests.gpu", "--tiny", "--budget", "1500", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures


def test_every_section_runs(run: dict[str, Any]) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = {line[:-7].strip() for line in listed.splitlines() if line.endswith(" s")}
    assert len(names) > 25
    assert {name for name, each in run["sections"].items() if each["status"] == "ok"} == names
    assert run["finished"] and run["failures"] == 0


def test_every_bar_is_measured(run: dict[str, Any]) -> None:
    bars = {bar["name"]: bar for bar in run["bars"]}
    for model in ("klein", "sdxl", "z-image", "sd15"):
        assert bars[f"{model}: joined = alone in fp32"]["met"]
    for kind in ("engine ÷ bare call", "charged ÷ device's busy time − 1", "denoiser calls with room"):
        assert any(kind in name for name in bars)


def test_pictures_are_joined_and_right(run: dict[str, Any]) -> None:
    for name in ("klein", "sdxl", "z-image", "sd15", "qwen-image"):
        figures = run["sections"][f"{name}:exact"]["figures"]
        assert figures["pictures in the widest denoiser pass"] > 1
        assert figures["joined and alone, largest difference"] < 1e-4
        assert figures["alone and the stock call, largest difference"] < 1e-5


def test_what_memory_is_short_of_is_told(run: dict[str, Any]) -> None:
    tried = run["sections"]["small cards:caps"]["figures"]
    told = [str(each) for name, each in tried.items() if name.endswith(" GB")]
    assert len(told) == 5 * 4 and all(each.startswith("paints") for each in told)
    planned = [each for name, each in tried.items() if name.endswith("planned for a prompt (bytes)")]
    came = [each for name, each in tried.items() if name.endswith("came for the second prompt (bytes)")]
    assert planned == came and sum(map(bool, came)) >= 4
    at_once = run["sections"]["small cards:at once"]["figures"]
    assert at_once["at once: charged (s)"] <= at_once["at once: seconds"]
    assert run["sections"]["sdxl:out-of-memory"]["figures"]["denoiser calls that ran out of memory"] > 0
    killed = run["sections"]["files:process"]["figures"]["worker killed: job ended with"]
    assert killed == "its picture"


def test_the_report_says_that_it_is_a_trial(run: dict[str, Any]) -> None:
    drawn = markdown(run)
    assert "TINY" in drawn and "klein: joined = alone in fp32" in drawn
    assert all(f"**{name}**" in drawn for name in run["sections"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sd15", {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}),
        ("sdxl", {"unet": 2_567_463_684, "text_encoder_2": 694_659_840}),
        ("z-image", {"transformer": 6_154_908_736, "text_encoder": 4_022_468_096}),
        ("klein", {"transformer": 3_875_544_576, "vae": 84_046_115}),
        ("qwen-image", {"text_encoder": 8_292_166_656, "vae": 126_892_531}),
    ],
)
def test_configurations_have_the_models_real_sizes(name: str, expected: dict[str, int]) -> None:
    """The sums of the published weights; made on no device, so that nothing is computed while one is made."""
    assert expected.items() <= parameters(Recipe.read(name)).items()
