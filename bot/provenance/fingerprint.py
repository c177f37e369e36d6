"""A fingerprint of how a picture looks: near ones belong to copies of one picture.

The signs of the lowest frequencies of the brightness (pHash, 16 × 16). Copies by JPEG, WebP or another size
differ in few bits; a crop changes it. So it gives candidates where the mark is gone, never proof.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16  # frequencies in each direction
SAMPLED = 64  # pixels a side that they are taken from
NEAR = 15  # bits of 256; among 258,840 pairs of different pictures none was so near


def fingerprint(picture: Image.Image) -> str:
    """Return 256 bits as 64 hexadecimal digits."""
    small = picture.convert("L").resize((SAMPLED, SAMPLED), Image.Resampling.LANCZOS)
    waves = _waves()
    frequencies = waves @ np.asarray(small, np.float64) @ waves.T
    above = frequencies > np.median(frequencies)
    return np.packbits(above.ravel()).tobytes().hex()


def distance(first: str, second: str) -> int:
    """Return in how many bits two fingerprints differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


@cache
def _waves() -> NDArray[np.float64]:
    """Return the rows of a discrete cosine transform (type II) that are used: (SIDE, SAMPLED)."""
    at = (np.arange(SAMPLED) + 0.5) / SAMPLED
    return np.cos(np.pi * np.outer(np.arange(1, SIDE + 1), at))
