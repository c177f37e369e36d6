"""The colours of a picture in words, for models that cannot be shown a picture."""

from __future__ import annotations

import colorsys
import io

from PIL import Image

MOST = 3  # colours that are named
_LEAST = 0.08  # of the picture; what covers less is not named
_HUES = (
    (15, "red"),
    (40, "orange"),
    (65, "yellow"),
    (160, "green"),
    (195, "turquoise"),
    (255, "blue"),
    (290, "purple"),
    (345, "pink"),
    (360, "red"),
)


def words(png: bytes) -> str:
    """Return the main colours of a picture as English words: "dark blue, orange and white colours"."""
    with Image.open(io.BytesIO(png)) as opened:
        small = opened.convert("RGB").resize((64, 64), Image.Resampling.BOX).quantize(8)
    colours = small.getpalette() or []
    shares: dict[str, float] = {}
    for count, index in small.getcolors() or []:
        name = named(*colours[3 * int(index) : 3 * int(index) + 3])  # type: ignore[arg-type]
        shares[name] = shares.get(name, 0.0) + count / 64**2
    most = sorted(shares, key=lambda name: -shares[name])[:MOST]
    names = [name for name in most if shares[name] >= _LEAST]
    *others, last = names or most[:1]
    return f"{', '.join(others)} and {last} colours" if others else f"{last} colours"


def named(red: int, green: int, blue: int) -> str:
    """Return the name of a colour, with how light it is."""
    hue, lightness, saturation = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    if lightness > 0.94:
        return "white"
    if lightness < 0.08:
        return "black"
    if saturation < 0.12:
        return "light grey" if lightness > 0.7 else "dark grey" if lightness < 0.3 else "grey"
    name = next(name for most, name in _HUES if hue * 360 <= most)
    if name in ("orange", "red") and lightness < 0.35 and saturation < 0.75:
        return "brown"
    return f"light {name}" if lightness > 0.75 else f"dark {name}" if lightness < 0.28 else name
