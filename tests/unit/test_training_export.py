"""What goes beside the weights: the curve, and the card that tells it."""

import json
from pathlib import Path

from engine.embedded.training import card, export, latents


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)))


def test_the_curve_goes_on_from_the_shipped_one_in_few_rows(tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(json.dumps([{"mix": 1, "pictures": 500_000, "validation": 0.4}]))
    seen = (450_000, 560_000, 610_000, 650_000, 720_000)
    _write(tmp_path / "denoiser.jsonl", [{"pictures": each, "validation": 0.3} for each in seen])

    rows = export.curve(tmp_path, tmp_path)

    assert [(row["mix"], row["pictures"]) for row in rows] == [
        (1, 500_000),
        (latents.MIX, 610_000),
        (latents.MIX, 720_000),
    ]


def test_a_first_export_has_no_curve_to_go_on_from(tmp_path: Path) -> None:
    assert export.curve(tmp_path, tmp_path) == []


def test_the_card_tells_the_curve_and_says_when_nothing_was_measured(tmp_path: Path) -> None:
    progress = {"seconds": 600.0, "pictures": 1_234_567, "step": 9}
    rows = [{"mix": 3, "pictures": 1_200_000, "validation": 0.25}]

    told = card.text(progress, 24, 64, rows, card.figures(tmp_path / "none.json"))

    assert "1,234,567 pictures" in told
    assert "| 3 | 1,200,000 | 0.250 |" in told
    assert "8x8x64 latents" in told
    assert "Not measured yet." in told
