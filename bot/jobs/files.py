"""Files of finished images: in another format, as a film of them all, or for a printer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot import actions, papers
from bot.actions import Action
from bot.errors import Refusal
from bot.i18n import _
from bot.images.file_formats import ALPHA, ENDINGS, FORMATS, LOOPS, LOSSY, MEDIA_TYPES, Format, label
from bot.images.service import Images
from bot.images.tracing import NotFlat
from bot.jobs.visibility import Visibility
from bot.messages import job_cards
from bot.messages.types import Button, Card, CardPicture
from bot.models import Job, Origin, StoredPicture
from bot.store import Store
from engine.types import TRANSPARENT

_IN_A_ROW = 5
FRAME_SECONDS = 0.8  # that a film shows each image


@dataclass(eq=False)
class FileService:
    """Nothing here paints, or takes GPU seconds. Methods raise Refusal and StoreError."""

    _store: Store
    _images: Images
    _visibility: Visibility

    async def command(self, options: Mapping[str, Any], origin: Origin) -> Card:
        """Answer `/download`."""
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        chosen = [actions.picture(job, options["picture"] - 1)] if "picture" in options else job.singles
        actions.picture(job, 0)
        format, quality = options.get("format", "png"), options.get("quality")
        if options.get("loop"):
            return await self._film(job, format)
        if quality is not None and format not in LOSSY:
            raise Refusal(
                _(
                    "{format} has no quality. Leave --quality out, or take JPEG, WebP, AVIF or PDF.",
                    format=label(format),
                ),
                code="format",
            )
        return await self._files(job, chosen, format, quality)

    async def choose(self, action: Action, job: Job, origin: Origin) -> Card:
        """Show the formats of which a job's images can be had."""
        actions.picture(job, 0)
        names = [f"as_{each}" for each in FORMATS]
        names += [f"loop_{each}" for each in LOOPS] if len(job.singles) > 1 else []
        buttons: list[Button] = [job_cards.button(each, job.id) for each in names]
        rows = tuple(tuple(buttons[start : start + _IN_A_ROW]) for start in range(0, len(buttons), _IN_A_ROW))
        hint = _("For a printer: /upscale {job} --print a4 --bleed 3mm", job=job.id)
        return Card(kind="text", title=job.prompt, body=(hint,), job=job.id, rows=rows, private=True)

    async def press(self, action: Action, job: Job, origin: Origin) -> Card:
        """Hand over a job's images in the format of the button."""
        actions.picture(job, 0)
        kind, _line, format = action.name.partition("_")
        assert format in FORMATS
        if kind == "loop":
            return await self._film(job, format)
        return await self._files(job, job.singles, format, None)

    async def _files(
        self, job: Job, chosen: Sequence[StoredPicture], format: Format, quality: int | None
    ) -> Card:
        media_type: Any = MEDIA_TYPES[format]
        try:
            files = []
            for each in chosen:
                alt = await self._alt(job, each)
                data = await self._images.converted(each.blob, media_type, quality, alt=alt)
                files.append((_name(job, each, format), data))
        except KeyError as error:
            raise Refusal(_("An image of this job is gone."), code="no_picture") from error
        except NotFlat:
            instead = _(
                "SVG suits flat images: drawings, icons, logos. This one has too many shades; take PNG."
            )
            rows = ((job_cards.button("as_png", job.id),),)
            return Card(kind="text", title=job.prompt, body=(instead,), job=job.id, rows=rows, private=True)
        return _handed(job, files, body=_on_white(job, format), adult=any(each.adult for each in chosen))

    async def _alt(self, job: Job, picture: StoredPicture) -> str:
        """Return what the file says of its picture: nothing, unless the person's files tell prompts."""
        told = (await self._store.preferences(job.origin.member.id)).tells_prompt
        return job_cards.alt_text(job, picture.index) if told else ""

    async def download(self, job: Job) -> Card:
        """Hand over a job's images as their request says."""
        actions.picture(job, 0)
        files = [await self.delivered(job, each) for each in job.singles]
        format: Any = job.request.file_format or "png"
        adult = any(each.adult for each in job.singles)
        if format == "svg" and any(name.endswith(".png") for name, _data in files):
            instead = _(
                "SVG suits flat images: drawings, icons, logos. What has too many shades came as PNG."
            )
            return _handed(job, files, body=(instead,), adult=adult)
        return _handed(job, files, body=_on_white(job, format), adult=adult)

    async def delivered(self, job: Job, picture: StoredPicture) -> tuple[str, bytes]:
        """Return the file of one picture: in its size's form, the format that was asked for, or PNG.

        What cannot be traced is PNG, not SVG.
        """
        name, size = job_cards.file_name(job, picture.index), job.request.size_at(picture.index)
        if size is not None:
            data, made_as = await self._images.sized(picture, size)
            return f"{name}.{made_as.removeprefix('image/')}", data
        format: Format = job.request.file_format or "png"  # type: ignore[assignment]
        png = await self._images.shown(picture)
        if format == "png":
            return f"{name}.png", png
        media_type: Any = MEDIA_TYPES[format]
        alt = await self._alt(job, picture)
        with suppress(NotFlat):
            made = await self._images.converted(picture.blob, media_type, job.request.file_quality, alt=alt)
            return f"{name}.{ENDINGS[format]}", made
        return f"{name}.png", png

    async def _film(self, job: Job, format: Format) -> Card:
        """Hand over all images of a job as one film."""
        if format not in LOOPS or len(job.singles) < 2:
            raise Refusal(
                _("A loop takes a job of two images or more, as GIF or WebP."),
                code="format",
            )
        blobs = [each.blob for each in job.singles]
        film = await self._images.film(blobs, format, FRAME_SECONDS)
        name = f"{job_cards.file_name(job, -1)}_loop.{ENDINGS[format]}"
        return _handed(job, [(name, film)], adult=any(each.adult for each in job.singles))

    async def printed(self, job: Job) -> Card:
        """Hand over the file for the printer of a job that was made for paper, and how it will look."""
        picture = actions.picture(job, 0)
        paper, format = papers.kept(job.request.paper)
        try:
            data, proof = await self._images.printed(picture.blob, paper, format, job.prompt)
        except KeyError as error:
            raise Refusal(_("An image of this job is gone."), code="no_picture") from error
        shown = CardPicture(
            alt=_("How {prompt} will look in print", prompt=job.prompt),
            width=proof.width,
            height=proof.height,
            blob=proof.blob,
        )
        size = " × ".join(str(each) for each in paper.pixels(wide=picture.width > picture.height))
        facts = (paper.label, _("{size} pixels at 300 dpi", size=size), self._images.printer.name)
        files = [(f"{job_cards.file_name(job, 0)}-print.{ENDINGS[format]}", data)]
        body = (_("The image shows how the inks will look: some colours of screens cannot be printed."),)
        return _handed(job, files, body=body, facts=facts, pictures=(shown,), adult=picture.adult)


def _on_white(job: Job, format: Format) -> tuple[str, ...]:
    """Say where a format does not keep what is transparent."""
    if job.request.background != TRANSPARENT or format in ALPHA:
        return ()
    return (_("{format} knows no transparency, so the image lies on white.", format=label(format)),)


def _name(job: Job, picture: StoredPicture, format: Format) -> str:
    return f"{job_cards.file_name(job, picture.index)}.{ENDINGS[format]}"


def _handed(job: Job, files: Sequence[tuple[str, bytes]], **more: Any) -> Card:
    return Card(kind="text", title=job.prompt, job=job.id, files=tuple(files), private=True, **more)
