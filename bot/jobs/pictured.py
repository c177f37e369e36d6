"""The commands that paint by pictures, as options of /imagine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.errors import Refusal
from bot.i18n import _
from bot.prompts.draft import MOST_IMAGES

FILES = tuple(f"image{number}" for number in range(1, MOST_IMAGES + 1))
"""The options of /blend that take a file each."""

MIXED = "a blend of the given images"  # to the model, where nobody said more


def imagined(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what /imagine takes for /edit and /blend. Raises Refusal for too few pictures."""
    return _edit(dict(options)) if command == "edit" else _blend(dict(options))


def _edit(options: dict[str, Any]) -> dict[str, Any]:
    image = options.pop("image", None)
    if image and options.get("source"):
        options["images"] = ",".join(filter(None, (image, options.get("images"))))
    elif image:
        options["source"] = image
    if not options.get("source"):
        notice = _("There is no image to change. Give a file, or a job's image such as 1a2b3c4d5e6f:2.")
        raise Refusal(notice, code="source")
    return {**options, "edit": True}


def _blend(options: dict[str, Any]) -> dict[str, Any]:
    sent = [options.pop(name) for name in FILES if options.get(name)]
    files = [each for each in sent if isinstance(each, bytes)]
    names = ",".join(
        [*(str(each) for each in sent if not isinstance(each, bytes)), options.pop("images", "")]
    )
    named = [each for each in names.replace(" ", ",").split(",") if each]
    if len(files) + len(named) < 2:
        notice = _("A blend takes 2 to {most} images. Give one more.", most=MOST_IMAGES)
        raise Refusal(notice, code="images")
    if named:
        options["images"] = ",".join(named)
    if files:
        options["files"] = {"images": files}
    return {"prompt": MIXED, **options}
