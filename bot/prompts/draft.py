"""`Draft`: what someone said of a picture. Each of its fields is an option, declared by its `Param`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from bot.i18n import _, ngettext
from bot.images.file_formats import QUALITY, label
from bot.models import Job, Tier
from bot.options import as_text
from bot.prompts import extending, packs, permutations, styles
from bot.prompts.areas import read_region
from bot.prompts.backgrounds import background_extent, background_label, read_background
from bot.prompts.packs import read_pack
from bot.prompts.param import Chip, Param
from bot.prompts.readers import (
    ASPECT_WORDS,
    COUNT_WORDS,
    LETTERING_WORDS,
    STYLE_WORDS,
    lora_extent,
    read_aspect,
    read_control,
    read_format,
    read_lettering,
    read_loras,
    read_mask,
    read_pictures,
    read_size,
    read_source,
    read_style,
    read_weights,
    style_extent,
)
from engine import lettering
from engine.guides import MOST_WEIGHT
from engine.types import SEED_LIMIT, Blend, Edit, ImageToImage, Inpaint, LoraWeight, ModelInfo, Outpaint

MAX_PROMPT = 4000  # characters
MAX_COUNT = 16
MAX_BEST = 8
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
DEFAULT_COUNT = 4
DEFAULT_STRENGTH = 0.6
EDIT_STRENGTH = 0.75  # of an edit by a model that takes no references
MOST_IMAGES = 5  # that one picture is made of


def _too_many_pictures(count: int, most: int, model: ModelInfo, tier: Tier) -> str:
    if count > most:
        return _(
            "That is {count} images; you may have {most} at once. Try --count {most}.",
            count=count,
            most=most,
        )
    return _("Count can be 1 to {most}; you asked for {count}.", most=most, count=count)


def _too_many_to_choose(best: int, most: int, model: ModelInfo, tier: Tier) -> str:
    return _(
        "Best of can be 1 to {most} images; you asked for {best}. Try --best {nearest}.",
        most=most,
        best=best,
        nearest=min(max(best, 1), most),
    )


def _too_many_steps(steps: int, most: int, model: ModelInfo, tier: Tier) -> str:
    if steps < 1 or most == model.max_steps:
        nearest = min(max(steps, 1), most)
        return _(
            "{model} takes 1 to {most} steps; you asked for {steps}. Try --steps {nearest}.",
            model=model.name,
            most=most,
            steps=steps,
            nearest=nearest,
        )
    return _(
        "That is {steps} steps, {steps2} more than your tier, {title}, allows. Try --steps {most}.",
        steps=steps,
        steps2=steps - most,
        title=tier.title,
        most=most,
    )


def _negative_fact(job: Job) -> str:
    negative = job.request.negative_prompt
    return _("Negative prompt: {negative}", negative=negative) if negative else ""


def _seed_fact(job: Job) -> str:
    first, last = shown_seed(job), job.request.seed_of(job.request.count - 1)
    return (
        _("Seed: {first}", first=first)
        if job.request.count == 1 or chosen(job)
        else _("Seeds: {first} to {last}, one per image", first=first, last=last)
    )


def chosen(job: Job) -> bool:
    """Return whether the one picture of a job was chosen from several."""
    return job.request.best > 1 and len(job.singles) == 1


def shown_seed(job: Job) -> int:
    """Return the seed of a job's picture, or of the first of several."""
    return job.singles[0].seed if chosen(job) else job.request.seed


def _fitted_best(best: str) -> str:
    if best == "1":
        return _("Nothing here tells which image is closest to the prompt, so all are shown.")
    return _("Best of is fitted: {best}.", best=best)


def _best_fact(job: Job) -> str:
    return _("Best of {count}", count=job.request.best) if job.request.best > 1 else ""


def _style_fact(job: Job) -> str:
    return _("Style: {label}", label=styles.load().label(job.style)) if job.style else ""


def _strength_fact(job: Job) -> str:
    match job.request.task:
        case ImageToImage(strength=strength):
            return _("Strength: {strength} from a source image", strength=f"{strength:g}")
        case Edit(strength=strength) if strength != EDIT_STRENGTH:
            return _("Strength: {strength} from a source image", strength=f"{strength:g}")
        case Blend(strength=strength) if strength != DEFAULT_STRENGTH:
            return _("Strength: {strength} from a mix of images", strength=f"{strength:g}")
        case _:
            return ""


def _loras_fact(job: Job) -> str:
    names = ", ".join(map(str, job.request.loras))
    return _("LoRAs: {names}", names=names) if names else ""


def _region_fact(job: Job) -> str:
    return _("A region of a source image is changed") if isinstance(job.request.task, Inpaint) else ""


def _extend_fact(job: Job) -> str:
    match job.request.task:
        case Outpaint() as task:
            how = extending.told(task, (job.request.width, job.request.height))
            return _("Extended from a source image: {how}", how=how)
        case _:
            return ""


def _edit_fact(job: Job) -> str:
    match job.request.task:
        case Edit(keep=True, instruction=instruction):
            return _("Instruction: {instruction}", instruction=instruction)
        case _:
            return ""


def _inpaints(model: ModelInfo) -> bool:
    return "inpaint" in model.tasks


def _images_fact(job: Job) -> str:
    count = len(job.request.task_sources)
    match job.request.task:
        case Edit() | Blend() if count > 1:
            return ngettext("Made by {count} image", "Made by {count} images", count)
        case _:
            return ""


def _weights_fact(job: Job) -> str:
    match job.request.task:
        case Blend(weights=weights) if weights:
            return _("Weights of the images: {weights}", weights=as_text(weights))
        case _:
            return ""


def _reference_fact(job: Job) -> str:
    return ""


def _control_fact(job: Job) -> str:
    guide = job.request.control
    if guide is None:
        return ""
    made = {
        "edges": _("edges"),
        "depth": _("depth"),
        "pose": _("pose"),
        "scribble": _("scribble"),
    }
    shown = {"kind": made[guide.kind], "by": guide.by, "weight": f"{guide.weight:g}"}
    if guide.of:
        return _("Control: {kind} of an image, by {by}, weight {weight}", **shown)
    return _("Control: {kind} as they were given, by {by}, weight {weight}", **shown)


def _takes_control(model: ModelInfo) -> bool:
    return bool(model.controls)


def _no_control(model: str) -> str:
    return _("{model} takes no control picture here. Leave the control out.", model=model)


def _references_fact(job: Job) -> str:
    found = [each for each in job.request.guides if not each.controls]
    if not found:
        return ""
    return _("References by {by}, weight {weight}", by=found[0].by, weight=f"{found[0].weight:g}")


def _starts_from_pictures(model: ModelInfo) -> bool:
    return "image_to_image" in model.tasks


def _draft_fact(job: Job) -> str:
    request = job.request
    return _("Draft: {steps} steps", steps=request.steps_taken) if request.draft and request.paints else ""


def _background_fact(job: Job) -> str:
    chosen = job.request.background
    return _("Background: {background}", background=background_label(chosen)) if chosen else ""


def _lettered_fact(title: str, job: Job, value: str) -> str:
    return _("{option}: {value}", option=title, value=value) if job.request.lettering else ""


def _format_fact(job: Job) -> str:
    request = job.request
    if not request.file_format:
        return ""
    if request.file_quality is None:
        return _("Files: {format}", format=label(request.file_format))
    return _(
        "Files: {format}, quality {quality}",
        format=label(request.file_format),
        quality=request.file_quality,
    )


def _option(param: Param, default: Any = None, **more: Any) -> Any:
    return field(default=default, metadata={"param": param}, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What someone said, understood but not yet fitted to a model. None and "" mean "not said".

    The order is that of the options in commands and forms.
    """

    prompt: str = _option(
        Param(
            kind="text",
            help=_("What you want to see, in your own words. Flags such as --ar 16:9 may follow."),
            required=True,
            maximum=MAX_PROMPT,
            example="a red fox",
        ),
        default=MISSING,
    )
    negative: str = _option(
        Param(
            kind="text",
            help=_("What should not be in the image."),
            flags=("no", "negative"),
            extent=len,
            maximum=MAX_PROMPT,
            example="text, blurry",
            known_to=lambda model: model.negative_prompt,
            unknown=lambda model: _(
                "{model} takes no negative prompt. Say in the prompt what should be there instead.",
                model=model,
            ),
            field="negative_prompt",
            usual=lambda _: "",
            of_model=True,
            fact=_negative_fact,
            chip=Chip(label=_("Negative prompt"), empty=_("none")),
        ),
        default="",
    )
    aspect: str = _option(  # a ratio, "16:9"
        Param(
            kind="text",
            help=_("The aspect ratio: square, portrait, landscape, wide, tall, or a ratio such as 16:9."),
            flags=("aspect", "ar"),
            reader=read_aspect,
            plain=ASPECT_WORDS,
            completes="aspects",
            example="16:9",
            default="square",
            chip=Chip(label=_("Aspect ratio"), empty=_("square"), more=False),
        ),
        default="",
    )
    size: tuple[int, int] | None = _option(  # pixels
        Param(
            kind="text",
            help=_("Width × height in pixels, instead of an aspect ratio."),
            flags=("size",),
            reader=read_size,
            maximum=30,
            example="512x768",
            default=_("the model's own"),
            fact=lambda job: _(
                "Size: {width} × {height}", width=job.request.width, height=job.request.height
            ),
        )
    )
    count: int | None = _option(
        Param(
            kind="integer",
            help=_("How many images."),
            flags=("count", "n"),
            plain=COUNT_WORDS,
            minimum=1,
            maximum=MAX_COUNT,
            tier_most=lambda tier: tier.max_count,
            too_many=_too_many_pictures,
            example="4",
            default=str(DEFAULT_COUNT),
            fitted=lambda count: _("The count is fitted: {count}.", count=count),
            field="count",
            usual=lambda _: DEFAULT_COUNT,
            fact=lambda _: "",  # the seeds tell
            chip=Chip(label=_("Images"), empty=str(DEFAULT_COUNT), listed=True, more=False),
        )
    )
    best: int | None = _option(
        Param(
            kind="integer",
            help=_("Generates this many images, and shows the one closest to the prompt. Costs as many."),
            flags=("best",),
            command="imagine",
            minimum=1,
            maximum=MAX_BEST,
            tier_most=lambda tier: tier.max_count,
            too_many=_too_many_to_choose,
            known_to=lambda model: bool(model.judge),
            unknown=lambda model: _(
                "Nothing here tells which image of {model} is closest to the prompt: set JUDGE to a CLIP or "
                "SigLIP model, or leave --best out.",
                model=model,
            ),
            example="4",
            default=_("all are shown"),
            fitted=_fitted_best,
            field="best",
            usual=lambda _: 1,
            fact=_best_fact,
            chip=Chip(label=_("Best of"), empty=_("off")),
        )
    )
    repeat: int | None = _option(  # jobs; `Planner.plans` makes them
        Param(
            kind="integer",
            help=_("How many jobs of the prompt, each with its own seed. It asks before they start."),
            flags=("repeat", "r"),
            minimum=1,
            maximum=permutations.MOST,
            example="3",
            default="1",
            fact=lambda _: "",  # each job is one of them
        )
    )
    seed: int | None = _option(
        Param(
            kind="integer",
            help=_("A number that makes the same image again."),
            flags=("seed",),
            minimum=0,
            maximum=SEED_LIMIT - 1,
            known_to=lambda model: model.seeds,
            example="7",
            default=_("random"),
            field="seed",
            usual=lambda _: random.randrange(SEED_LIMIT),
            fact=_seed_fact,
            chip=Chip(label=_("Seed"), empty=_("random")),
        )
    )
    steps: int | None = _option(
        Param(
            kind="integer",
            help=_("Denoising steps: more take longer and show finer detail."),
            flags=("steps",),
            minimum=1,
            maximum=MAX_STEPS,
            known_to=lambda model: model.max_steps > 1,
            model_most=lambda model: model.max_steps,
            tier_most=lambda tier: tier.max_steps,
            too_many=_too_many_steps,
            fitted=lambda steps: _("The steps are fitted: {steps}.", steps=steps),
            example="20",
            default=_("the model's own"),
            field="steps",
            usual=lambda model: model.steps,
            of_model=True,
            chip=Chip(label=_("Steps"), empty=_("auto")),
        )
    )
    draft: bool | None = _option(
        Param(
            kind="boolean",
            help=_("A draft: the same image in about half the steps, for about half the cost."),
            flags=("draft",),
            default="no",
            offered_by=lambda tier: not tier.draft,
            decided_by=lambda tier: True if tier.draft else None,
            field="draft",
            usual=lambda _: False,
            fact=_draft_fact,
            chip=Chip(label=_("Draft"), empty=_("no")),
        )
    )
    guidance: float | None = _option(
        Param(
            kind="number",
            help=_("Guidance scale: how closely to follow the prompt."),
            flags=("guidance", "cfg"),
            minimum=0,
            maximum=MAX_GUIDANCE,
            known_to=lambda model: model.guided,
            example="5",
            default=_("the model's own"),
            field="guidance",
            usual=lambda model: model.guidance,
            of_model=True,
            chip=Chip(label=_("Guidance"), empty=_("auto")),
        )
    )
    scheduler: str = _option(  # one of the model's `schedulers`
        Param(
            kind="text",
            help=_("The sampler that takes the denoising steps; each model has its own choice."),
            flags=("scheduler", "sampler"),
            reader=str.casefold,
            maximum=30,
            known_to=lambda model: model.schedulers,
            fitted=lambda scheduler: _("The scheduler is the model's own now."),
            example="euler",
            default=_("the model's own"),
            field="scheduler",
            usual=lambda _: "",
            of_model=True,
            chip=Chip(label=_("Scheduler"), empty=_("auto")),
        ),
        default="",
    )
    loras: tuple[LoraWeight, ...] | None = _option(  # of the model's `loras`
        Param(
            kind="text",
            help=_("LoRAs, which change what the model generates: names, each with a weight if you like."),
            flags=("lora", "loras"),
            reader=read_loras,
            extent=lora_extent,
            several=True,
            maximum=300,
            completes="loras",
            known_to=lambda model: tuple(each.name for each in model.loras),
            fitted=lambda loras: _("LoRAs that cannot be used here were left out."),
            example="ink:0.8",
            default=_("none"),
            field="loras",
            usual=lambda _: (),
            fact=_loras_fact,
            chip=Chip(label=_("LoRAs"), empty=_("none")),
        )
    )
    style: str = _option(  # a preset's name, or NO_STYLE
        Param(
            kind="text",
            help=_("A named look; /styles shows them all."),
            flags=("style",),
            reader=read_style,
            extent=style_extent,
            plain=STYLE_WORDS,
            completes="styles",
            example='"oil painting"',
            default="none",
            fact=_style_fact,
            chip=Chip(label=_("Style"), empty=_("none"), more=False, rank=0),
        ),
        default="",
    )
    model: str = _option(
        Param(
            kind="text",
            help=_("The model that generates the image."),
            flags=("model",),
            maximum=200,
            completes="models",
            default=_("the first that /settings offers"),
            fact=lambda job: _("Model: {model}", model=job.request.model) if job.request.paints else "",
            chip=Chip(label=_("Model"), empty=_("auto"), more=False, rank=0),
        ),
        default="",
    )
    background: str = _option(  # "transparent" or "#rrggbb"
        Param(
            kind="text",
            help=_("Cut the subject out and put it on this: transparent, a colour word, or #0af."),
            flags=("background", "bg"),
            reader=read_background,
            extent=background_extent,
            maximum=30,
            example="transparent",
            default=_("as generated"),
            field="background",
            usual=lambda _: "",
            fact=_background_fact,
            chip=Chip(label=_("Background"), empty=_("as generated")),
        ),
        default="",
    )
    source: str | bytes = _option(  # "1a2b3c4d5e6f:2", or the file itself
        Param(
            kind="picture",
            help=_("An image prompt: a file, or a job's image as in 1a2b3c4d5e6f:2."),
            flags=("source",),
            reader=read_source,
            maximum=100,
            example="1a2b3c4d5e6f:2",
            known_to=lambda model: bool(
                {"image_to_image", "inpaint", "outpaint"} & model.tasks or model.controls
            ),
        ),
        default="",
        repr=False,
    )
    strength: float | None = _option(
        Param(
            kind="number",
            help=_("How much to change the source image: 0 changes almost nothing, 1 ignores it."),
            flags=("strength",),
            minimum=0,
            maximum=1,
            example="0.6",
            default=f"{DEFAULT_STRENGTH:g}",
            known_to=lambda model: _starts_from_pictures(model) and model.strength,
            unknown=lambda model: _(
                "{model} uses the source image as a reference, without a strength. Leave --strength out.",
                model=model,
            ),
            fact=_strength_fact,
        )
    )
    region: str = _option(  # `areas.read_area` reads it
        Param(
            kind="text",
            help=_("What of the source image to change: “top right”, “the cup”, or a box 10,20,60,80 (%)."),
            flags=("region",),
            command="region",
            reader=read_region,
            extent=len,
            maximum=200,
            example="top right",
            known_to=_inpaints,
            fact=_region_fact,
        ),
        default="",
    )
    mask: str | bytes = _option(  # "1a2b3c4d5e6f:mask", or the file itself
        Param(
            kind="picture",
            help=_("Or a mask: an image that is white where the source image is to change."),
            flags=("mask",),
            command="region",
            reader=read_mask,
            maximum=100,
            example="1a2b3c4d5e6f:mask",
            known_to=_inpaints,
            fact=lambda _: "",  # that of `region`
        ),
        default="",
        repr=False,
    )
    extend: str = _option(  # `extending.outpainted` reads it
        Param(
            kind="text",
            help=_("Paint around the source image: 1.5x, 2x, left, right, up, down, square, or a ratio."),
            flags=("extend", "zoom", "pan"),
            command="extend",
            reader=extending.read_extend,
            maximum=20,
            example="1.5x",
            known_to=lambda model: "outpaint" in model.tasks,
            fact=_extend_fact,
        ),
        default="",
    )
    edit: bool | None = _option(
        Param(
            kind="boolean",
            help=_("The prompt says what to change of the image; the rest of it stays."),
            flags=("edit",),
            command="edit",
            default="no",
            known_to=_starts_from_pictures,
            fact=_edit_fact,
        )
    )
    images: tuple[str, ...] = _option(
        Param(
            kind="text",
            help=_("More images, to blend or to speak of: 1a2b3c4d5e6f:2, or saved names, with commas."),
            flags=("images",),
            command="blend",
            reader=read_pictures,
            maximum=300,
            example="1a2b3c4d5e6f:2,1a2b3c4d5e6f:3",
            known_to=_starts_from_pictures,
            fact=_images_fact,
        ),
        default=(),
    )
    weights: tuple[float, ...] = _option(
        Param(
            kind="text",
            help=_("How much each of several images counts, as in 2:1."),
            flags=("weights",),
            command="blend",
            reader=read_weights,
            maximum=40,
            example="2:1",
            known_to=_starts_from_pictures,
            fact=_weights_fact,
        ),
        default=(),
    )
    sref: tuple[str, ...] = _option(
        Param(
            kind="text",
            help=_("Images whose style to take: 1a2b3c4d5e6f:2, or saved names, with commas."),
            flags=("sref",),
            reader=read_pictures,
            maximum=300,
            completes="references",
            example="1a2b3c4d5e6f:2",
            fact=_reference_fact,
        ),
        default=(),
    )
    cref: tuple[str, ...] = _option(
        Param(
            kind="text",
            help=_("Images whose subject to show: 1a2b3c4d5e6f:2, or saved names, with commas."),
            flags=("cref", "oref"),
            reader=read_pictures,
            maximum=300,
            completes="references",
            example="1a2b3c4d5e6f:2",
            fact=_reference_fact,
        ),
        default=(),
    )
    reference_weight: float | None = _option(
        Param(
            kind="number",
            help=_("How much the references count: 0 to 2."),
            flags=("reference-weight",),
            command="imagine",
            minimum=0,
            maximum=MOST_WEIGHT,
            example="0.8",
            default=_("the model's own"),
            known_to=lambda model: model.guide("style") is not None,
            unknown=lambda model: _(
                "{model} takes references without a weight. Leave --reference-weight out.", model=model
            ),
            fact=_references_fact,
        )
    )
    control: str = _option(  # one of the model's `controls`
        Param(
            kind="text",
            help=_("What of the image guides the new one: edges, depth, pose or scribble."),
            flags=("control",),
            command="imagine",
            reader=read_control,
            maximum=30,
            known_to=lambda model: model.controls,
            unknown=_no_control,
            example="edges",
            default=_("none"),
            fact=_control_fact,
        ),
        default="",
    )
    control_weight: float | None = _option(
        Param(
            kind="number",
            help=_("How much the control counts: 0 to 2."),
            flags=("control-weight",),
            command="imagine",
            minimum=0,
            maximum=MOST_WEIGHT,
            example="0.5",
            default="1",
            known_to=_takes_control,
            unknown=_no_control,
            fact=lambda _: "",  # that of `control`
        )
    )
    control_as_is: bool | None = _option(
        Param(
            kind="boolean",
            help=_("The image is a control picture already: nothing is made from it."),
            flags=("control-as-is",),
            command="imagine",
            default="no",
            known_to=_takes_control,
            unknown=_no_control,
            fact=lambda _: "",  # that of `control`
        )
    )
    reproducible: bool | None = _option(
        Param(
            kind="boolean",
            help=_("Generated alone, so that the same seed gives the same image to the last bit."),
            flags=("reproducible",),
            default="no",
            field="reproducible",
            usual=lambda _: False,
            fact=lambda job: _("Reproducible: generated alone") if job.request.reproducible else "",
            chip=Chip(label=_("Reproducible"), empty=_("no")),
        )
    )
    text: str = _option(
        Param(
            kind="text",
            help=_("Words set on the image as real type, always spelled right; | separates two texts."),
            flags=("text", "lettering"),
            reader=read_lettering,
            maximum=lettering.MOST_CHARACTERS,
            plain=LETTERING_WORDS,
            example='"SUMMER SALE"',
            default=_("none"),
            field="lettering",
            usual=lambda _: "",
            fact=lambda job: _("Text: {text}", text=job.request.lettering) if job.request.lettering else "",
            chip=Chip(label=_("Text"), empty=_("none")),
        ),
        default="",
    )
    text_place: str = _option(
        Param(
            kind="text",
            help=_("Where the text stands; auto takes the calmest place."),
            flags=("text-place",),
            reader=str.casefold,
            maximum=30,
            known_to=lambda _: lettering.PLACES,
            example="bottom",
            default="auto",
            field="lettering_place",
            usual=lambda _: "auto",
            fact=lambda job: _lettered_fact(_("Place of the text"), job, job.request.lettering_place),
            chip=Chip(label=_("Place of the text"), empty="auto"),
        ),
        default="",
    )
    text_style: str = _option(
        Param(
            kind="text",
            help=_("The typeface of the text."),
            flags=("text-style", "font"),
            reader=str.casefold,
            maximum=30,
            known_to=lambda _: lettering.STYLES,
            example="serif",
            default="sans",
            field="lettering_style",
            usual=lambda _: "sans",
            fact=lambda job: _lettered_fact(_("Typeface"), job, job.request.lettering_style),
            chip=Chip(label=_("Typeface"), empty="sans"),
        ),
        default="",
    )
    pack: str = _option(
        Param(
            kind="text",
            help=_("One image in all sizes of a pack, as files: social, web, ads or print."),
            flags=("pack",),
            command="pack",
            reader=read_pack,
            maximum=30,
            example="social",
            field="pack",
            usual=lambda _: "",
            fact=lambda job: (
                _("Size pack: {pack}", pack=packs.label(job.request.pack)) if job.request.pack else ""
            ),
        ),
        default="",
    )
    format: str = _option(  # of `file_formats.FORMATS`
        Param(
            kind="text",
            help=_(
                "The format of the files that Download gives: png, jpeg, webp, avif, gif, svg, pdf or tiff."
            ),
            flags=("format",),
            command="download",
            reader=read_format,
            maximum=10,
            example="webp",
            default="png",
            field="file_format",
            usual=lambda _: "",
            fact=_format_fact,
        ),
        default="",
    )
    quality: int | None = _option(
        Param(
            kind="integer",
            help=_("Of JPEG, WebP, AVIF and PDF: more looks better and is larger."),
            flags=("quality",),
            command="download",
            minimum=1,
            maximum=100,
            example="80",
            default=str(QUALITY),
            field="file_quality",
            fact=lambda _: "",  # that of `format`
        )
    )
    private: bool | None = _option(
        Param(
            kind="boolean",
            help=_("Only you see it."),
            flags=("private",),
            default="no",
            chip=Chip(label=_("Visibility"), empty=_("everyone"), yes=_("only you")),
        )
    )
    relax: bool | None = _option(
        Param(
            kind="boolean",
            help=_("Relaxed: free, and runs only while no one else needs the GPU."),
            flags=("relax",),
            default="no",
            offered_by=lambda tier: len(tier.priorities) > 1,
            fact=lambda job: _("Speed: relaxed (free)") if job.relaxed else "",
            chip=Chip(label=_("Speed"), empty=_("fast"), yes=_("relaxed (free)"), more=False, rank=2),
        )
    )

    @property
    def has_file(self) -> bool:
        """Return whether a file came with it, which no text can carry."""
        return isinstance(self.source, bytes) or isinstance(self.mask, bytes)


PARAMS: Mapping[str, Param] = {
    each.name: replace(each.metadata["param"], name=each.name) for each in fields(Draft)
}
"""The options of /imagine by name, in their order."""


def landed() -> Iterator[Param]:
    """Yield the options that a field of the request takes as they are."""
    return (each for each in PARAMS.values() if each.field)


def by_flag(flag: str) -> Param | None:
    """Return the option that a flag (without dashes, in any case) stands for; the prompt has none."""
    wanted = flag.casefold()
    found = (each for each in PARAMS.values() if wanted in (*each.flags, each.name))
    return next((each for each in found if each.name != "prompt"), None)
