"""An old job under today's rules: what is gone or not allowed any more is replaced, and a note says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bot import limits, prompts
from bot.accounts.access_rules import AccessRules
from bot.errors import Refusal
from bot.i18n import _, join
from bot.models import Job, Preferences, Tier
from bot.prompts import DEFAULT_COUNT, Draft, extending, styles
from bot.prompts.draft import landed
from bot.prompts.param import shown
from bot.prompts.styles import NO_STYLE
from engine.types import (
    CreativeUpscale,
    GenerationRequest,
    Guide,
    Inpaint,
    ModelInfo,
    Outpaint,
    Task,
    TaskKind,
    TextToImage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remade:
    """An old request as it may be painted now."""

    request: GenerationRequest
    style: str
    model: ModelInfo
    note: str  # what is not as it was, in sentences


def remade(
    request: GenerationRequest,
    job: Job,
    rules: AccessRules,
    offered: Sequence[ModelInfo],
    *,
    task: TaskKind | None = None,
) -> Remade:
    """Return the request, derived from a job, as it may be painted now.

    Enlarging needs no painting model and knows no limits. Raises Refusal when no model does the `task`.
    """
    if not request.paints:
        model = next((each for each in offered if each.name == request.model), offered[0])
        return Remade(request=replace(request, model=model.name), style=job.style, model=model, note="")
    model = _model(request.model, rules.models(offered), task or request.kind)
    style = _style(job.style, rules, moved=model.name != request.model)
    dressed = request
    if (model.name, style) != (request.model, job.style):
        dressed = _dressed(request, job, style, model)
    fitted = _fitted(dressed, model, rules)
    notes = (_moved(request.model, model, offered), _undressed(job.style, style), *_changed(dressed, fitted))
    return Remade(request=fitted, style=style, model=model, note=join(" ", notes))


def moved(job: Job, request: GenerationRequest, offered: Sequence[ModelInfo]) -> str:
    """Return a sentence on the model of a job that was edited, where that is gone; else nothing."""
    if not job.request.paints:
        return ""
    model = next(each for each in offered if each.name == request.model)
    return _moved(job.request.model, model, offered)


def recalled(
    job: Job, rules: AccessRules, offered: Sequence[ModelInfo], preferences: Preferences | None = None
) -> Draft:
    """Return the draft that paints a job again and may be asked for now: what its form shows.

    What the draft left open would be filled from `preferences`, so the draft says it. Raises Refusal.
    """
    request, models = job.request.before_upscale(), rules.models(offered)
    if not any(request.task.kind in model.tasks for model in models):
        request = replace(request, task=TextToImage())
    now = remade(request, job, rules, offered, task=request.task.kind)
    style = now.style if now.style in styles.load().styles else ""
    draft = prompts.recall(replace(job, request=now.request, style=style), models)
    relax = draft.relax if "relax" in rules.tier.priorities else None
    count = draft.count if job.request.paints and not job.request.enlarges else None
    draft = replace(draft, relax=relax, count=count)
    return _explicit(draft, now, preferences or Preferences(), rules.tier)


def cut_by(request: GenerationRequest, model: ModelInfo) -> str:
    """Return a sentence on what cuts out, where that has not learned from pictures like the model's."""
    if not request.cuts_out or model.cuts_out:
        return ""
    return _("Easel’s own network cuts it out, which has learned from drawings alone: look at the edges.")


def able(models: Sequence[ModelInfo], task: TaskKind) -> list[ModelInfo]:
    """Return the models that do the task. Raises Refusal when there is none."""
    found = [each for each in models if task in each.tasks]
    if not found:
        name = models[0].name
        raise Refusal(
            _("{model} only changes images. Choose another model.", model=name)
            if task == "text_to_image"
            else _(
                "{model} takes no image prompt. Choose another model, or leave the image prompt out.",
                model=name,
            ),
            code="source",
        )
    return found


def _model(name: str, models: Sequence[ModelInfo], task: TaskKind) -> ModelInfo:
    found = able(models, task)
    return next((each for each in found if each.name == name), found[0])


def _style(style: str, rules: AccessRules, *, moved: bool) -> str:
    """Return the style; empty if it may not be used any more, or was removed and the model changes."""
    gone = style not in styles.load().styles
    return "" if not style or not rules.takes_style(style) or (gone and moved) else style


def _dressed(request: GenerationRequest, job: Job, style: str, model: ModelInfo) -> GenerationRequest:
    """Write the request for another model or style: its words, and for another model its usual values."""
    known = styles.load()
    said = known.template(job.style, request.model).undress(request.negative_prompt)
    words, negative = known.template(style, model.name).dress(job.prompt, said)
    if model.name != request.model:
        request = replace(request, **{each.field: each.usual(model) for each in landed() if each.of_model})
    return replace(request, prompt=words, negative_prompt=negative, model=model.name)


def _fitted(request: GenerationRequest, model: ModelInfo, rules: AccessRules) -> GenerationRequest:
    task, (width, height) = _sized(request, model, rules.tier.max_pixels)
    fitted = {each.field: each.fit(request, model, rules.tier) for each in landed()}
    sized = replace(request, task=task, width=width, height=height, **fitted)
    return replace(sized, guides=tuple(_guided(sized, model))).drafted_for(model)


def _guided(request: GenerationRequest, model: ModelInfo) -> Iterator[Guide]:
    """Yield what can guide the request with a model, by the same weights where it has them."""
    for each in request.guides:
        able = [info.name for info in model.guides if each.kind in info.kinds]
        if able and (not each.controls or request.task.kind in model.controlled):
            yield each if each.by in able else replace(each, by=able[0])


def _sized(request: GenerationRequest, model: ModelInfo, max_pixels: int) -> tuple[Task, tuple[int, int]]:
    """Return the task and the size of its images: those of a part of an image go by the image."""
    size = request.width, request.height
    match request.task:
        case (Inpaint() | CreativeUpscale()) as task:
            return task, size
        case Outpaint() as task:
            return extending.shrunk(task, size, max_pixels)
        case task:
            return task, limits.fitted(size, model, max_pixels)


# ---- what is said of it


def _moved(name: str, model: ModelInfo, offered: Sequence[ModelInfo]) -> str:
    if name == model.name:
        return ""
    if name in [each.name for each in offered]:
        return _("{before} cannot be used for this, so {after} was used.", before=name, after=model.name)
    return _("{before} is no longer here, so {after} was used.", before=name, after=model.name)


def _undressed(before: str, after: str) -> str:
    label = styles.load().label(before)
    return (
        ""
        if before == after
        else _("The style {label} is no longer used here, so it was left out.", label=label)
    )


def _changed(before: GenerationRequest, after: GenerationRequest) -> Iterator[str]:
    """Yield a sentence for each value that was changed to fit."""
    if (before.width, before.height) != (after.width, after.height):
        yield _("The size is fitted: {width} × {height}.", width=after.width, height=after.height)
    if len(before.guides) != len(after.guides):
        yield _("An image that guided it cannot be used here, so it was left out.")
    for each in landed():
        value = getattr(after, each.field)
        if value != getattr(before, each.field):
            yield each.fitted(shown(value))


# ---- what must be said


def _explicit(draft: Draft, now: Remade, own: Preferences, tier: Tier) -> Draft:
    """Set what would else be read from the draft's words or taken from the person's defaults."""
    read, most = _read(draft), min(DEFAULT_COUNT, tier.max_count)
    shaped = draft.aspect or draft.size or draft.source
    size = (now.request.width, now.request.height)
    return replace(
        draft,
        style=NO_STYLE if not draft.style and (own.style or read.style) else draft.style,
        count=_explicit_count(draft, read, own, most),
        model=now.model.name if own.model and not draft.model else draft.model,
        size=size if (own.aspect or own.size or read.aspect) and not shaped else draft.size,
        private=False if own.private and draft.private is None else draft.private,
        format="png" if own.format and not (draft.format or draft.pack) else draft.format,
    )


def _explicit_count(draft: Draft, read: Draft, own: Preferences, most: int) -> int | None:
    if draft.best:
        return 1 if read.count else None
    return most if draft.count is None and (own.count or read.count) else draft.count


def _read(draft: Draft) -> Draft:
    """Render and parse the draft, as plain words in it may set options; return it unchanged if refused."""
    with suppress(Refusal):
        return prompts.parse(prompts.render(draft), ranged=False)
    return draft
