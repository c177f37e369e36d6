"""Pictures that people and places keep by name, to paint by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bot.errors import Refusal
from bot.i18n import _, join
from bot.images import pictures
from bot.images.blobs import BlobStore
from bot.jobs.pictures import Pictures
from bot.messages.types import Card
from bot.models import Member, Origin, SavedReference
from bot.options import clip
from bot.prompts.readers import REFERENCE_NAME
from bot.store import Store
from bot.store.references import MOST, place_owner


@dataclass(eq=False)
class ReferenceService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _blobs: BlobStore
    _pictures: Pictures
    _max_source_bytes: int

    async def save(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/reference save`."""
        name, place = _name(options["name"]), bool(options.get("place"))
        _check_place(place, origin.member)
        source = await self._pictures.source(await self._picture(options), origin)
        if place and source.private:
            notice = _(
                "That image is private, so it cannot be saved for everybody here. Save it for yourself."
            )
            raise Refusal(notice, code="forbidden")
        kept = SavedReference(
            owner=place_owner(origin.member.tenant) if place else origin.member.id,
            name=name,
            member=origin.member.id,
            blob=source.blob or await self._blobs.put(source.png, ".png"),
            width=source.width,
            height=source.height,
            prompt=source.prompt,
            job=source.job,
        )
        if not await self._store.save_reference(kept):
            notice = _("There are {most} references, which is the most. Delete one first.", most=MOST)
            raise Refusal(notice, code="too_many")
        line = _("Saved. Paint by it with --sref {name}, --cref {name} or --images {name}.", name=name)
        return Card(kind="text", title=name, body=(line,), private=True)

    async def _picture(self, options: dict[str, Any]) -> str | bytes:
        """Return the picture that is to be saved: a name, or a file as PNG."""
        sent = options.get("picture") or options.get("image")
        if not sent:
            notice = _("There is no image to save. Give a file, or a job's image such as 1a2b3c4d5e6f:2.")
            raise Refusal(notice, code="source")
        if isinstance(sent, bytes):
            return await pictures.open_source(sent, max_bytes=self._max_source_bytes)
        if re.fullmatch(r"\w{1,32}(:\d{1,2})?", sent):
            return str(sent)
        raise Refusal(_("A job's image is named as in 1a2b3c4d5e6f:2."), code="source")

    async def listed(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/reference list`."""
        saved = await self._store.references(origin.member)
        place = place_owner(origin.member.tenant)
        lines = [_line(each, of_place=each.owner == place) for each in saved]
        nothing = _("There are none yet. /reference save keeps an image under a name.")
        return Card(kind="text", title=_("References"), body=tuple(lines) or (nothing,), private=True)

    async def delete(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/reference delete`."""
        name, place = _name(options["name"]), bool(options.get("place"))
        _check_place(place, origin.member)
        mine = await self._store.sharing(origin.member.id)
        owners = [place_owner(origin.member.tenant)] if place else [origin.member.id, *mine]
        if not await self._store.delete_reference(name, owners):
            raise Refusal(_("There is no reference “{name}”. /reference list shows them.", name=name))
        return Card(kind="text", title=name, body=(_("The reference was deleted."),), private=True)


def _name(typed: str) -> str:
    name = typed.strip().casefold()
    if not re.fullmatch(REFERENCE_NAME, name) or re.fullmatch(r"[0-9a-f]{12}", name):
        notice = _("A name is one word that begins with a letter; “{typed}” is not.", typed=clip(typed))
        raise Refusal(notice, code="name")
    return name


def _check_place(place: bool, member: Member) -> None:
    if place and not member.admin:
        raise Refusal(_("Only administrators keep references for everybody here."), code="forbidden")


def _line(saved: SavedReference, *, of_place: bool) -> str:
    shown = clip(saved.prompt, 60) or _("a file")
    whose = _("for everybody here") if of_place else ""
    return join(" · ", (f"{saved.name}: {shown}", whose))
