"""A draft → a request that a model paints, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot import limits
from bot.errors import Refusal
from bot.i18n import _, listing, ngettext
from bot.models import Job, Tier
from bot.options import clip, setting, suggest
from bot.prompts import extending, filed, loras, packs, references, styles
from bot.prompts.draft import DEFAULT_STRENGTH, PARAMS, Draft, landed
from bot.prompts.param import Param
from bot.prompts.permutations import kept
from bot.prompts.readers import WIDEST
from bot.prompts.references import Given, Source
from bot.prompts.rendering import offer, size_text
from engine import weights
from engine.types import Edit, GenerationRequest, Inpaint, Letter, ModelInfo, Task


def compose(
    draft: Draft,
    models: Sequence[ModelInfo],
    tier: Tier,
    source: Source | None = None,
    said: Draft | None = None,
    *,
    given: Given | None = None,
) -> GenerationRequest:
    """Compose the request in full: the style applied, the size fitted to the model, the seed fixed.

    `models` are those that may be asked for, the default first. `given`: all pictures, where there is more
    than a `source`. Raises Refusal with an offer made of `said` (left out: of the draft), for what the model
    cannot do and for more than the tier allows.
    """
    given = given or Given(pictures=(source,) if source else ())
    source = given.source
    references.check(draft, given)
    model = model_for(draft, models)
    _check(said or draft, model, models, tier, source)
    filed.check(draft, said or draft)
    task, (width, height) = _sized_task(draft, said or draft, model, tier, given)
    template = styles.load().template(draft.style, model.name)
    prompt, negative = template.dress(references.prompt(draft, model, given), draft.negative)
    values = {each.field: each.value(getattr(draft, each.name), model, tier) for each in landed()}
    values["negative_prompt"] = negative if model.negative_prompt else ""
    if draft.pack:
        values |= {"count": 1, "best": 1, "sizes": packs.known()[draft.pack].sizes}
    elif draft.best:
        values["count"] = values["best"]
    request = GenerationRequest(
        prompt=prompt,
        model=model.name,
        width=width,
        height=height,
        guides=references.guides(draft, model, given),
        task=task,
        **values,
    )
    return request.drafted_for(model)


def _sized_task(
    draft: Draft, said: Draft, model: ModelInfo, tier: Tier, given: Given
) -> tuple[Task, tuple[int, int]]:
    """Return what is to be done, and the size of its images. A mask is not stored yet."""
    source = given.source
    if draft.extend == extending.FIT and not draft.pack:
        raise _fits_nothing(said)
    if source and takes_as_it_is(draft):
        return Letter(sources=(source.blob,)), (source.width, source.height)
    if source is None and draft.pack and not (draft.aspect or draft.size):
        draft = replace(draft, aspect=packs.known()[draft.pack].aspect)
    if source is None or not (draft.extend or draft.region or draft.mask):
        return references.task(draft, model, given), _fitted(draft, said, model, tier, source)
    size = source.width, source.height
    if draft.extend:
        shapes = [each.width / each.height for each in packs.known()[draft.pack].sizes] if draft.pack else ()
        task, new = extending.outpainted(draft.extend, source.blob, size, model, tier.max_pixels, shapes)
        _check_extended(said, size, new)
        return task, new
    strength = 1.0 if draft.strength is None else draft.strength
    kept = limits.within(size, MOST_KEPT * tier.max_pixels)
    return Inpaint(source=source.blob, mask="", strength=strength), kept


def takes_as_it_is(draft: Draft) -> bool:
    """Return whether the sizes of a pack are made of the source itself, and nothing is painted."""
    painted = draft.extend or draft.region or draft.mask or draft.edit or draft.strength is not None
    more = draft.images or draft.sref or draft.cref
    return bool(draft.pack and draft.source and not painted and not more)


def _fits_nothing(said: Draft) -> Refusal:
    name, pack = next(iter(packs.known().items()))
    return Refusal(
        _("--extend fit goes with a size pack. Add one, as in --pack {name}.", name=name),
        code="extend",
        offers=(offer(pack.label, said, pack=name),),
    )


MOST_KEPT = 16  # times a tier's pixels: as large as an enlarged image may a part of one be changed


def _check_extended(said: Draft, size: tuple[int, int], new: tuple[int, int]) -> None:
    if abs(new[0] / new[1] - size[0] / size[1]) > 0.01 or new[0] > size[0] or said.extend == extending.FIT:
        return
    if said.extend.endswith("x"):
        return
    raise Refusal(
        _("The image has that aspect ratio already. Zoom out, or choose another."),
        code="extend",
        offers=(offer(_("Zoom out 1.5×"), said, extend="1.5x"),),
    )


def model_for(draft: Draft, models: Sequence[ModelInfo]) -> ModelInfo:
    """Return the model that the draft names, or else the default, or the first that takes its references.

    Raises Refusal for an unknown name.
    """
    model = choose_model(draft, models)
    if draft.model or not (draft.edit or draft.sref or draft.cref or draft.control):
        return model
    if draft.control:
        return next((each for each in (model, *models) if draft.control in each.controls), model)
    guided = not draft.edit and any(each.guide("style") for each in models)
    takes = (each for each in (model, *models) if each.references or (guided and each.guide("style")))
    return next(takes, model)


def _strength(draft: Draft) -> float:
    return DEFAULT_STRENGTH if draft.strength is None else draft.strength


def choose_model(draft: Draft, models: Sequence[ModelInfo]) -> ModelInfo:
    """Return the model that the draft names, or the default. Raises Refusal for an unknown name."""
    if not draft.model:
        return models[0]
    names = {model.name.casefold(): model for model in models}
    if model := names.get(draft.model.casefold()):
        return model
    near = suggest(draft.model, names) or models[0].name.casefold()
    raise Refusal(
        ngettext(
            "There is no model “{name}”. There is {names}.",
            "There is no model “{name}”. There are {names}.",
            len(models),
            name=clip(draft.model),
            names=listing([model.name for model in models]),
        ),
        code="unknown_model",
        offers=(offer(_("Use {model}", model=clip(near, 28)), draft, model=names[near].name),),
    )


def fit(aspect: str, model: ModelInfo, max_pixels: float = math.inf) -> tuple[int, int]:
    """Return the size in pixels of an aspect ratio at the model's own area, or `max_pixels` if less."""
    across, down = map(float, aspect.split(":"))
    height = math.sqrt(model.width * model.height * down / across)
    return limits.fitted((height * across / down, height), model, max_pixels)


def _fitted(
    draft: Draft, said: Draft, model: ModelInfo, tier: Tier, source: Source | None
) -> tuple[int, int]:
    if draft.size:
        return checked_size(said, draft.size, model, tier.max_pixels)
    if draft.aspect:
        return fit(draft.aspect, model, tier.max_pixels)
    if source:
        ratio = min(max(source.width / source.height, 1 / WIDEST), WIDEST)
        return fit(f"{ratio}:1", model, tier.max_pixels)
    return limits.fitted((model.width, model.height), model, tier.max_pixels)


def checked_size(
    said: Draft, size: tuple[int, int], model: ModelInfo, max_pixels: float = math.inf
) -> tuple[int, int]:
    """Return the size if the model can paint it. Raises Refusal, with one up to `max_pixels` that it can."""
    if size == (limits.rounded(size[0], model), limits.rounded(size[1], model)):
        return size
    nearest = limits.fitted(size, model, max_pixels)
    raise Refusal(
        _(
            "{model} takes sides from {low} to {high} pixels, in steps of {step}; you asked "
            "for {size}. Try --size {nearest}.",
            model=model.name,
            low=model.min_side,
            high=model.max_side,
            step=model.multiple,
            size=size_text(size),
            nearest=f"{nearest[0]}x{nearest[1]}",
        ),
        code="size",
        offers=(offer(_("Make it {value}", value=size_text(nearest)), said, size=nearest),),
    )


def _check(
    said: Draft, model: ModelInfo, models: Sequence[ModelInfo], tier: Tier, source: Source | None
) -> None:
    """Raise Refusal for the first value that the model or the tier does not allow, with one that they do."""
    part = bool(said.region or said.mask or said.extend)  # whether a model does them, their options say
    guides = bool(said.control) and said.strength is None  # then nothing starts from it
    if source and not (part or guides) and "image_to_image" not in model.tasks:
        _refuse_source(said, model, models)
    if said.control and not guides and "image_to_image" not in model.controlled and model.controls:
        raise Refusal(
            _("{model} takes a control without a strength. Leave --strength out.", model=model.name),
            code="strength",
            offers=(offer(_("Leave the strength out"), said, strength=None),),
        )
    if "text_to_image" not in model.tasks and not (source and (part or _strength(said) < 1)):
        _refuse_words(said, model, models)
    _check_weights(said)
    _check_best(said)
    for name, param in PARAMS.items():
        value = getattr(said, name)
        if value not in ("", None, ()):
            if param.several:
                loras.check(value, said, model, models)
            else:
                _check_known(param, value, said, model)
            check_range(param, value, model, tier, said)


def _check_weights(said: Draft) -> None:
    found = weights.read(said.prompt)
    if len(found.texts) > weights.MOST_TEXTS:
        raise Refusal(
            _("A prompt may have {most} weights; this has more. Leave some out.", most=weights.MOST_TEXTS),
            code="weights",
            offers=(offer(_("Leave the weights out"), said, prompt=found.plain),),
        )


def _check_best(said: Draft) -> None:
    """Raise Refusal for a count beside the number of images that one is chosen from."""
    if said.best and (said.count or 1) > 1:
        raise Refusal(
            _("--best shows one image, so leave --count out."),
            code="best",
            offers=(offer(_("Leave it out"), said, count=None),),
        )


def _check_known(param: Param, value: Any, said: Draft, model: ModelInfo) -> None:
    """Raise Refusal for an option that the model does not take, or not with this value."""
    if param.takes(value, model):
        return
    unsaid = offer(_("Leave it out"), said, **{param.name: getattr(_NOTHING, param.name)})
    known = param.known_to(model) if param.known_to else False
    if not known or isinstance(known, bool):
        plainly = _(
            "{model} takes no {option}. Leave {flag} out.",
            model=model.name,
            option=param.name,
            flag=param.flag,
        )
        raise Refusal(param.unknown(model.name) if param.unknown else plainly, offers=(unsaid,))
    near = suggest(str(value), known)
    raise Refusal(
        _(
            "{model} knows the {option}s {names}; you asked for “{typed}”.",
            model=model.name,
            option=param.name,
            names=", ".join(known),
            typed=clip(str(value)),
        ),
        code=param.name,
        offers=(offer(_("Use {model}", model=near), said, **{param.name: near}),) if near else (unsaid,),
    )


_NOTHING = Draft(prompt="")


def check_range(param: Param, value: int, model: ModelInfo, tier: Tier, said: Draft | None) -> None:
    """Raise Refusal for more than model and tier allow, with an offer of the nearest value where `said`."""
    if param.too_many is None:
        return
    most = param.most([model], [tier])
    nearest = min(max(value, 1), most)
    if value != nearest:
        raise Refusal(
            param.too_many(value, most, model, tier),
            code=param.name,
            offers=(offer(setting(param.name, nearest), said, **{param.name: nearest}),) if said else (),
        )


def _refuse_source(said: Draft, model: ModelInfo, models: Sequence[ModelInfo]) -> None:
    instead = next((each.name for each in models if "image_to_image" in each.tasks), "")
    change = offer(_("Use {model}", model=clip(instead, 28)), said, model=instead)
    leave = offer(_("Leave the image prompt out"), said, source="", strength=None)
    raise Refusal(
        _(
            "{model} takes no image prompt. Choose another model, or leave the image prompt out.",
            model=model.name,
        ),
        code="source",
        offers=(change,) if instead else (leave,),
    )


def _refuse_words(said: Draft, model: ModelInfo, models: Sequence[ModelInfo]) -> None:
    instead = next((each.name for each in models if "text_to_image" in each.tasks), "")
    change = offer(_("Use {model}", model=clip(instead, 28)), said, model=instead)
    weaker = offer(_("Leave the strength out"), said, strength=None)
    raise Refusal(
        _("{model} only changes images. Give it an image prompt, and a strength below 1.", model=model.name),
        code="source",
        offers=(change,) if instead else (weaker,) if said.source else (),
    )


def recall(job: Job, models: Sequence[ModelInfo]) -> Draft:
    """Return the draft that paints a job again, for its form; for an enlarged picture, the original's."""
    request = job.request
    info = next((model for model in models if model.name == request.model), None)
    template = styles.load().template(job.style, request.model)
    before = request.before_upscale()
    pictures = dict(references.recalled(job))
    values = {
        each.name: getattr(request, each.field)
        for each in landed()
        if not (info and (each.of_model or each.kind == "text") and _is_usual(each, request, info))
        and ((each.kind != "boolean" and not each.several) or getattr(request, each.field))
        and not (info and each.known_to and each.known_to(info) is False)
    }
    values["negative"] = kept(template.undress(request.negative_prompt))
    values["best"] = request.best if request.best > 1 else None
    if not request.paints or request.enlarges or request.best > 1:
        del values["count"]
    usual = info and info is models[0] and not isinstance(before.task, Edit)
    return Draft(
        prompt=pictures.pop("prompt", job.prompt),
        style=job.style,
        model="" if usual else request.model,
        private=True if job.origin.private else None,
        relax=True if job.relaxed else None,
        **pictures,
        **values,
        **(
            {}
            if pictures.keys() & {"mask", "extend"}
            else _recalled_shape((before.width, before.height), info)
        ),
    )


def _is_usual(param: Param, request: GenerationRequest, model: ModelInfo) -> bool:
    return bool(getattr(request, param.field) == param.usual(model))


def _recalled_shape(size: tuple[int, int], info: ModelInfo | None) -> dict[str, Any]:
    if info is None or size == (info.width, info.height):
        return {} if info else {"size": size}
    ratio = styles.load().shape(*size)
    fits = ":" in ratio and fit(ratio, info) == size
    return {"aspect": ratio} if fits else {"size": size}
