"""The pictures of a request: what is made of them, by what the model takes, and how they are recalled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from bot.errors import Refusal
from bot.i18n import _, join
from bot.models import Job
from bot.prompts import extending
from bot.prompts.draft import DEFAULT_STRENGTH, EDIT_STRENGTH, MOST_IMAGES, Draft
from bot.prompts.merging import merged, understood
from engine.types import (
    Blend,
    BlobRef,
    CreativeUpscale,
    CutOut,
    Edit,
    ImageToImage,
    Inpaint,
    Letter,
    ModelInfo,
    Outpaint,
    Task,
    TextToImage,
    Upscale,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A picture to start from, or to paint by."""

    blob: BlobRef  # empty where it is not stored yet
    width: int
    height: int
    private: bool = False
    png: bytes = field(default=b"", repr=False)  # of one that is not stored yet
    prompt: str = ""  # what it shows, as far as that is known
    job: str = ""  # of which it is a picture
    palette: str = ""  # its colours in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """All pictures of a request, by what they are for."""

    pictures: tuple[Source, ...] = ()  # the first is what is changed, or what is started from
    style: tuple[Source, ...] = ()
    subject: tuple[Source, ...] = ()

    @property
    def all(self) -> tuple[Source, ...]:
        return (*self.pictures, *self.style, *self.subject)

    @property
    def source(self) -> Source | None:
        return self.pictures[0] if self.pictures else None


NOTHING = Given()


def check(draft: Draft, given: Given) -> None:
    """Raise Refusal for pictures that do not go together."""
    if len(given.all) > MOST_IMAGES:
        raise too_many(len(given.all))
    if draft.edit and not given.pictures:
        raise Refusal(_("There is no image to change. Give one, or leave --edit out."), code="source")
    if draft.weights and len(draft.weights) != len(given.pictures):
        notice = _(
            "There are {count} weights for {images} images. Give one for each image.",
            count=len(draft.weights),
            images=len(given.pictures),
        )
        raise Refusal(notice, code="weights")


def too_many(count: int) -> Refusal:
    """Return the refusal of more pictures than one can be made of."""
    notice = _(
        "One image can be made of {most} at most; you gave {count}. Leave some out.",
        most=MOST_IMAGES,
        count=count,
    )
    return Refusal(notice, code="images")


def prompt(draft: Draft, model: ModelInfo, given: Given) -> str:
    """Return what the finished picture shows, in words: an instruction becomes a part of the description."""
    words = draft.prompt
    if draft.edit and given.source:
        words = merged(given.source.prompt, words)
    if model.references:
        return words
    subjects = [each.prompt for each in given.subject if each.prompt]
    palettes = [each.palette for each in (*given.style, *given.subject) if each.palette]
    said = [f"in {' and '.join(dict.fromkeys(palettes))}"] if palettes else []
    return ", ".join([words, *(each for each in (*subjects, *said) if each not in words)])


def task(draft: Draft, model: ModelInfo, given: Given) -> Task:
    """Return what is made of the pictures."""
    pictures, blobs = given.pictures, tuple(each.blob for each in given.pictures)
    guided = (given.style or given.subject) and model.references
    edits = draft.edit and "edit" in model.tasks and (model.references or len(pictures) == 1)
    if edits or guided:
        shown = given.all if model.references else pictures
        return Edit(
            sources=tuple(each.blob for each in shown),
            instruction=draft.prompt if draft.edit else "",
            shows=pictures[0].prompt if draft.edit else "",
            keep=bool(draft.edit),
            strength=EDIT_STRENGTH if draft.strength is None else draft.strength,
            style=len(given.style) if guided else 0,
            subject=len(given.subject) if guided else 0,
        )
    strength = DEFAULT_STRENGTH if draft.strength is None else draft.strength
    match blobs:
        case ():
            return TextToImage()
        case (one,):
            return ImageToImage(source=one, strength=strength)
        case _ if "blend" not in model.tasks:
            notice = _("{model} takes one image. Leave the others out.", model=model.name)
            raise Refusal(notice, code="images")
        case _:
            return Blend(sources=blobs, strength=strength, weights=draft.weights)


def used(request_task: Task, given: Given) -> tuple[Source, ...]:
    """Return the pictures that a task of `task` names, in its order."""
    match request_task:
        case TextToImage():
            return ()
        case Edit(sources=sources) | Blend(sources=sources):
            return given.all[: len(sources)]
        case ImageToImage() | Inpaint() | Outpaint() | CreativeUpscale() | Upscale() | CutOut() | Letter():
            return given.pictures[:1]
        case unknown:
            assert_never(unknown)


def note(draft: Draft, model: ModelInfo, given: Given) -> str:
    """Say what a model without references does instead of what was asked for."""
    if model.references:
        return ""
    lines = []
    name = model.name
    if draft.edit:
        lines.append(
            _("{model} takes no instructions, so it started from the image, with this prompt.", model=name)
        )
        if given.source and given.source.prompt and not understood(draft.prompt):
            lines.append(_("Your words were added to the image's own. Describe what it should show instead."))
    if len(given.pictures) > 1:
        lines.append(_("{model} takes one image, so it started from a mix of yours.", model=name))
    if given.style:
        lines.append(_("{model} takes no style reference, so its colours were added as words.", model=name))
    if given.subject:
        lines.append(
            _("{model} takes no subject reference, so what is known of it was added as words.", model=name)
        )
    return join(" ", lines)


def recalled(job: Job) -> Mapping[str, Any]:
    """Return the options that asked for a job's pictures."""
    names = [f"{job.id}:source", *(f"{job.id}:source{number}" for number in range(2, MOST_IMAGES + 1))]
    match job.request.before_upscale().task:
        case ImageToImage(strength=strength):
            return {"source": names[0], "strength": strength}
        case Blend(sources=sources, strength=strength, weights=weights):
            found = {"source": names[0], "images": tuple(names[1 : len(sources)]), "weights": weights}
            return found if strength == DEFAULT_STRENGTH else {**found, "strength": strength}
        case Edit() as edit:
            return _recalled_edit(edit, names[: len(edit.sources)])
        case Inpaint(strength=strength):
            masked = {"source": names[0], "mask": f"{job.id}:mask"}
            return masked if strength == 1 else {**masked, "strength": strength}
        case Outpaint() as task:
            how = extending.told(task, (job.request.width, job.request.height))
            return {"source": names[0], "extend": how}
        case TextToImage() | Upscale() | CutOut() | CreativeUpscale() | Letter():
            return {}
        case unknown:
            assert_never(unknown)


def _recalled_edit(edit: Edit, names: list[str]) -> dict[str, Any]:
    pictures = len(names) - edit.style - edit.subject
    found: dict[str, Any] = {
        "source": names[0] if pictures else "",
        "images": tuple(names[1:pictures]),
        "sref": tuple(names[pictures : pictures + edit.style]),
        "cref": tuple(names[pictures + edit.style :]),
    }
    if edit.keep:
        found |= {"edit": True, "prompt": edit.instruction}
    if pictures and edit.strength != EDIT_STRENGTH:
        found["strength"] = edit.strength
    return found
