"""The matrix of pipeline classes; `python -m tests.matrix` looks at all, here are the few that tell most."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine import catalog
from engine.families import families
from engine.pipelines.run import silence_libraries
from tests.matrix import Row, look
from tests.matrix.table import PAGE, named, write
from tests.matrix.twins import TWINS


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    silence_libraries()
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("title", "joined"),
    [
        pytest.param(  # swaps the attention processors of the shared model
            "SDXL with PAG", r"one after another", marks=pytest.mark.slow
        ),
        ("HunyuanImage 2.1", r"✓ \S+ after a comparison"),  # has guiders with a momentum
        pytest.param(  # layers of text where rows would be, as many by chance; takes a minute of CPU
            "HiDream", r"✓ \S+, denoised alone", marks=pytest.mark.soak
        ),
    ],
)
def test_a_class_with_state_of_its_own_paints_the_same_in_company(
    title: str, joined: str, tmp_path: Path
) -> None:
    row = look(title, tmp_path)

    assert not row.wrong, row
    assert row.cells[0].startswith("✓") and re.fullmatch(joined, row.cells[1]), row


def test_the_table_names_the_classes_that_are_looked_at(tmp_path: Path) -> None:
    rows = named()

    assert [title for title, _ in rows] == list(TWINS) and len(rows) >= 24
    assert not re.search(r"^\|.*✗", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    known = {name for family in families() for task, name in family.pipelines.items()
             if task == "text_to_image" or len(family.pipelines) == 1}  # fmt: skip
    assert known <= {kind for _, kind in rows}


def test_the_table_is_put_in_place_of_the_former_one(tmp_path: Path) -> None:
    page = Path(shutil.copy(PAGE, tmp_path / "models.md"))
    text = page.read_text(encoding="utf-8")

    write([Row("One", "OnePipeline", ("✓ 0", "✓ 0", "–", "–"))], page)

    assert named(page) == [("One", "OnePipeline")]
    assert page.read_text(encoding="utf-8").splitlines()[0] == text.splitlines()[0]


def test_the_page_names_every_model_of_the_catalogue() -> None:
    names = re.findall(r"^\[models\.([\w-]+)\]", Path(catalog._CATALOG).read_text(encoding="utf-8"), re.M)
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]

    assert set(names) <= set(re.findall(r"`([\w-]+)`", "\n".join(line.split("|")[1] for line in table)))
