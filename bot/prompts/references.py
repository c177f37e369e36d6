"""The pictures of a request: what is made of them, by what the model takes, and how they are recalled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from bot.errors import Refusal
from bot.i18n import _, join
from bot.models import Job
from bot.prompts import extending
from bot.prompts.draft import DEFAULT_STRENGTH, EDIT_STRENGTH, MOST_IMAGES, Draft
from bot.prompts.merging import merged, understood
from engine.types import (
    CONTROLS,
    Blend,
    BlobRef,
    CreativeUpscale,
    CutOut,
    Edit,
    Guide,
    GuideKind,
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
    told = _in_words(model, given)
    subjects = [each.prompt for each in told.subject if each.prompt]
    palettes = [each.palette for each in (*told.style, *told.subject) if each.palette]
    said = [f"in {' and '.join(dict.fromkeys(palettes))}"] if palettes else []
    return ", ".join([words, *(each for each in (*subjects, *said) if each not in words)])


def _in_words(model: ModelInfo, given: Given) -> Given:
    """Return those references of which the model can only be told in words."""
    style = () if model.references or model.guide("style") else given.style
    subject = () if model.references or model.guide("subject") else given.subject
    return replace(given, style=style, subject=subject)


STYLE_WEIGHT, SUBJECT_WEIGHT = 1.0, 0.6
"""How much references count where nobody says it: a style changes few layers, a subject all of them."""

UNMADE = "-"
"""Stands for a picture that is not stored yet."""


def guides(draft: Draft, model: ModelInfo, given: Given) -> tuple[Guide, ...]:
    """Return what guides the painting besides the task, its pictures not stored yet; see `guiding`."""
    found = []
    if draft.control and (by := model.guide(_kind(draft.control))):
        weight = 1.0 if draft.control_weight is None else draft.control_weight
        of = "" if draft.control_as_is else UNMADE
        found.append(Guide(kind=_kind(draft.control), picture=UNMADE, by=by.name, weight=weight, of=of))
    for kind, usual, count in _by_adapter(model, given):
        if by := model.guide(kind):
            weight = usual if draft.reference_weight is None else draft.reference_weight
            found += [Guide(kind=kind, picture=UNMADE, by=by.name, weight=weight)] * count
    return tuple(found)


def _by_adapter(model: ModelInfo, given: Given) -> list[tuple[GuideKind, float, int]]:
    """Return what is taken of references by an IP-Adapter: its usual weight, and of how many pictures."""
    told = _in_words(model, given)
    style = () if model.references or told.style else given.style
    subject = () if model.references or told.subject else given.subject
    return [("style", STYLE_WEIGHT, len(style)), ("subject", SUBJECT_WEIGHT, len(subject))]


def _kind(control: str) -> GuideKind:
    return next(kind for kind in CONTROLS if kind == control)


def guiding(draft: Draft, model: ModelInfo, given: Given, control: bytes) -> tuple[Source, ...]:
    """Return the pictures that `guides` names, in its order; `control` is what was made, as PNG."""
    found: tuple[Source, ...] = ()
    if draft.control and given.source:
        made = Source(blob="", width=0, height=0, png=control, private=given.source.private)
        found = (made,) if draft.control_as_is else (made, given.source)
    (_style, _usual, style), (_subject, _own, subject) = _by_adapter(model, given)
    return (*found, *given.style[:style], *given.subject[:subject])


def started(draft: Draft, given: Given) -> Given:
    """Return the pictures that are painted from: a control's image guides, and is left with a strength."""
    return replace(given, pictures=()) if draft.control and draft.strength is None else given


def task(draft: Draft, model: ModelInfo, given: Given) -> Task:
    """Return what is made of the pictures."""
    given = started(draft, given)
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
    given = _in_words(model, given)
    if given.style:
        lines.append(_("{model} takes no style reference, so its colours were added as words.", model=name))
    if given.subject:
        lines.append(
            _("{model} takes no subject reference, so what is known of it was added as words.", model=name)
        )
    return join(" ", lines)


def recalled(job: Job) -> Mapping[str, Any]:
    """Return the options that asked for a job's pictures."""
    return {**_of_task(job), **_of_guides(job)}


def _of_guides(job: Job) -> Mapping[str, Any]:
    """Return the options that asked for what guides a job."""
    found: dict[str, Any] = {}
    guides = job.request.before_upscale().guides
    for at, guide in enumerate(guides):
        before = sum(each.kind == guide.kind for each in guides[:at])
        name = f"{job.id}:{guide.kind}{before + 1 if before else ''}"
        if guide.controls:
            found |= {"control": guide.kind, "source": name}
            found |= {} if guide.weight == 1 else {"control_weight": guide.weight}
            found |= {} if guide.of else {"control_as_is": True}
            continue
        option = "sref" if guide.kind == "style" else "cref"
        found[option] = (*found.get(option, ()), name)
        if guide.weight != (STYLE_WEIGHT if guide.kind == "style" else SUBJECT_WEIGHT):
            found["reference_weight"] = guide.weight
    return found


def _of_task(job: Job) -> dict[str, Any]:
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
