"""The control picture that somebody's image is made into, before anything is charged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bot.errors import Refusal
from bot.i18n import _
from bot.images import controls
from bot.images.controlling import ControlMaker
from bot.prompts import Draft
from bot.prompts.rendering import offer
from engine.types import CONTROLS, ModelInfo

_NOTHING: Mapping[str, str] = {
    "edges": _("There are no edges in that image to go by. Give another one."),
    "depth": _("There is no depth in that image to go by. Give another one."),
    "pose": _("There is nobody in that image whose pose could be taken. Give another one."),
    "scribble": _("There are no lines in that image to go by. Give another one."),
}
_NO_MODEL: Mapping[str, str] = {
    "depth": _("No model here estimates depth. Give a depth picture, with --control-as-is."),
    "pose": _("No model here finds poses. Give a pose picture, with --control-as-is."),
}


@dataclass(eq=False)
class ControlService:
    """`_makers` are the models for depth and pose, where there are any."""

    _makers: Mapping[str, ControlMaker]

    async def made(self, draft: Draft, model: ModelInfo, picture: bytes) -> bytes:
        """Return the control picture of a draft as PNG. Raises Refusal where there is nothing to go by."""
        made = await self._made(draft, model, picture)
        if made is not None:
            return made
        if draft.control_as_is:
            raise Refusal(_("That control picture is of one colour. Give another one."), code="control")
        raise Refusal(_NOTHING[draft.control], code="control")

    async def _made(self, draft: Draft, model: ModelInfo, picture: bytes) -> bytes | None:
        kind = next(each for each in CONTROLS if each == draft.control)
        by = model.guide(kind)
        if draft.control_as_is:
            return await asyncio.to_thread(controls.as_given, picture)
        match kind:
            case "edges":
                soft = by is not None and by.takes == "softedge"
                return await asyncio.to_thread(controls.edges, picture, soft=soft)
            case "scribble":
                return await asyncio.to_thread(controls.lines, picture)
            case _ if kind in self._makers:
                return await self._makers[kind].made(picture)
        given = (offer(_("It is one already"), draft, control_as_is=True),)
        raise Refusal(_NO_MODEL[kind], code="control", offers=given)

    async def close(self) -> None:
        """End the processes that make control pictures."""
        for each in self._makers.values():
            await each.close()
