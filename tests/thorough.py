"""Families for tests by pytest; `tests.families` itself runs where only the engine's needs are installed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.families import FAMILIES

FEW = ("sd", "flux", "qwen")  # a U-Net, a transformer, and one whose pictures are films of one frame
THOROUGHLY: list[Any] = [
    name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES
]
"""All of them; those that are like one of the few, in the slow suite alone."""
