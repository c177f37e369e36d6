"""Flags of other tools: what has an equivalent here means that, the others are left out, and that is said."""

from __future__ import annotations

import re

from bot.prompts.draft import DEFAULT_STRENGTH
from engine.guides import MOST_WEIGHT

_NUMBER = r"-?\d+(?:\.\d+)?"
_NOTHING = r""
_REFERENCE = r"\S+(?:\s+https?://\S+)*"

_NUMBERS = r"\d+(?:\.\d+)?(?:[:,]\d+(?:\.\d+)?){0,4}"
_ELSEWHERE = re.compile(r"[\s=]{0,9}(?:https?://|random\b|\d{1,10}(?=\s|\Z))", re.IGNORECASE)

_FACTOR = re.compile(r"[\s=]{0,9}(?:0?\.\d{1,3}|[0-5](?:\.\d{1,3})?)(?=\s|\Z)")

_VALUES = {
    _NUMBER: "v version s stylize q quality c chaos w weird sw cw ow stop exp niji sv hires",
    _NUMBERS: "iw",
    _NOTHING: "tile tiling video hd turbo fast raw creative uplight upbeta test testp hr",
    _REFERENCE: "sref cref oref p profile ckpt",
}
_FLAGS = {name: value for value, names in _VALUES.items() for name in names.split()}
_MOST_IMAGE_WEIGHT = 3.0


def is_flag(name: str) -> bool:
    """Tell whether another tool has a flag of that name (without dashes, in any case)."""
    return name.casefold() in _FLAGS


def means_elsewhere(name: str, text: str, at: int) -> bool:
    """Tell whether what a flag of ours says is another tool's: an address, or a number of theirs."""
    if name.casefold() == "quality":  # theirs is a factor of the time
        return "--format" not in text.casefold() and bool(_FACTOR.match(text, at))
    return name.casefold() in ("sref", "cref", "oref") and bool(_ELSEWHERE.match(text, at))


def end_of_value(name: str, text: str, at: int) -> tuple[str, int]:
    """Return what stands behind such a flag as its value, and where the text goes on; it may have none."""
    pattern = rf"[\s=]*({_FLAGS[name.casefold()]})(?=\s|\Z)"
    found = re.match(pattern, text[at:])
    return (found[1], at + found.end()) if found and found[1] else ("", at)


def equivalent(
    name: str, value: str, *, pictured: bool, several: bool = False, referred: bool = False
) -> tuple[str, str] | None:
    """Return the option that means the same, and its value; None where there is none.

    `pictured`: there is a picture to start from; `several`: there are more; `referred`: there are references.
    """
    match name.casefold():
        case "niji":
            return "style", "anime"
        case "iw" if referred and not (pictured or several) and re.fullmatch(_NUMBER, value):
            return "reference_weight", f"{min(max(float(value), 0.0), MOST_WEIGHT):g}"
        case "iw" if several and re.search("[:,]", value):
            return "weights", value
        case "iw" if (pictured or several) and re.fullmatch(_NUMBER, value):
            weight = min(max(float(value), 0.0), _MOST_IMAGE_WEIGHT)
            return "strength", f"{DEFAULT_STRENGTH**weight:.2f}"
    return None
