"""Every option of /imagine: from typed text to what the pipeline receives, and back to the person."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import pytest
import torch

from bot import __main__ as cli
from bot import commands, prompts
from bot.adapters.discord import forms as discord_forms
from bot.adapters.discord import slash_commands as discord
from bot.adapters.slack import forms as slack_forms
from bot.adapters.web import composer
from bot.jobs import remake
from bot.messages import answers
from bot.messages.types import Form
from bot.models import Job, Tier
from bot.prompts import PARAMS, Draft, Param
from engine.catalog import Entry
from engine.families import Family, family_of
from engine.pipelines import control
from engine.pipelines.lora import Adapter, wanted
from engine.pipelines.run import Loaded, paint
from engine.types import GenerationRequest, GuideInfo, LoraInfo
from engine.workers.fake import FakeEngine
from tests.families import FAMILIES
from tests.guides import network
from tests.scenario.conftest import SMALL, House, Opens

SCHEDULERS = tuple(family_of("StableDiffusionPipeline").schedulers)
LORAS = (LoraInfo(name="ink", words="ink wash"), LoraInfo(name="pixel"))
CONTROLS = (GuideInfo(name="canny", takes="canny"),)
FIRST = replace(
    SMALL,
    name="first",
    width=256,
    height=256,
    guidance=2.0,
    schedulers=SCHEDULERS,
    loras=LORAS,
    guides=CONTROLS,
    controlled=frozenset({"text_to_image", "image_to_image"}),
)
OTHER = replace(FIRST, name="other")
PIPELINES = {"first": "sd", "other": "sdxl"}

UNUSUAL = {"count": "2", "strength": "0.25", "model": "other", "region": '"top right"'}
"""What is typed where an option's example is what a request has anyway."""

OF_THE_JOB = ("private", "relax", "reproducible", "text", "text_place", "text_style")
"""Options that say who sees a job and when it is painted: the pipeline is not told."""

AFTER_PAINTING = ("background", "pack", "format", "quality")
"""Options of what is done with a painted picture: tests/unit/test_cutout.py, test_sizes.py, test_files.py."""

OF_SEVERAL_JOBS = ("repeat",)
"""Options that make several jobs, which are asked about first: tests/scenario/test_series.py."""

OF_A_SOURCE = ("strength", "region", "mask", "extend", "edit", "images", "control")
"""Options that say what is done with a source."""

RECALLED = {"region": "mask"}
"""What a form shows instead: a region is painted again by its mask."""

OF_REFERENCES = ("sref", "cref", "reference_weight")
"""Options that only models with references keep: tests/scenario/test_references.py, test_control.py."""

Pipelines = Callable[[Job, House], list[dict[str, Any]]]
"""What the pipeline is called with for each picture of a job."""

each_option = pytest.mark.parametrize("name", [each for each in PARAMS if each != "prompt"])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    """Tiny pipelines of two families."""
    nothing: Any = None
    made = {
        name: Loaded(
            Entry(info=FIRST, source=""),
            FAMILIES[kind](tmp_path_factory.mktemp(name)).pipe,
            points=[],
            preview=None,
            upscaler=nothing,
        )
        for name, kind in PIPELINES.items()
    }
    for each in made.values():
        for info in LORAS:
            each.loras.attach(Adapter(info, {}))
        for guide in CONTROLS:
            each.take_guide(control.of_network(guide, network(each.pipe), each.family))
    return made


@pytest.fixture
def pipelines(loaded: dict[str, Loaded], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipelines]:
    calls: list[dict[str, Any]] = []
    for each in loaded.values():
        controls = each.family.controls
        classes = [type(each.pipe_for(task)).__name__ for task in each.family.pipelines]
        for name in (*classes, *(controls.pipelines.values() if controls else ())):
            kind = getattr(diffusers, name)
            monkeypatch.setattr(kind, "__call__", _recorded(kind.__call__, calls))

    def called(job: Job, house: House) -> list[dict[str, Any]]:
        calls.clear()
        sources = [house.blobs.read(each) for each in job.request.sources]
        for index in range(job.request.count):
            paint(loaded[job.request.model], job.request, index, sources, lambda *_: None)
        return list(calls)

    yield called


def _recorded(call: Callable[..., Any], calls: list[dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(call)
    def recorded(pipe: Any, **given: Any) -> Any:
        image, generator = given.pop("image", None), given.pop("generator")
        told = {name: value for name, value in given.items() if not callable(value)}
        told |= {"pipeline": type(pipe).__name__, "scheduler": type(pipe.scheduler).__name__}
        told["loras"] = tuple((lora.info.name, weight) for lora, weight in wanted.get())
        calls.append(told | {"seed": generator.initial_seed(), "image": image and image.tobytes()})
        return Namespace(images=[torch.linspace(0, 1, 3 * 64 * 64).view(3, 64, 64)])

    return recorded


@pytest.fixture
async def easel(opened: Opens) -> AsyncIterator[House]:
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(FIRST, OTHER))) as house:
        yield house


@dataclass
class Walk:
    """What one text became at each station."""

    draft: Draft
    job: Job
    calls: list[dict[str, Any]]
    form: Mapping[str, str]
    info: list[str]
    again: Job  # asked for by the form as it was


async def walk(text: str, house: House, pipelines: Pipelines) -> Walk:
    job = await house.row((await house.ask(text)).id)
    form = await house.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    told = await house.press(f"v1:info:{job.id}")
    of_every_job = ("Cost:", "Job:", "To generate it again:")
    values = dict(form.values)
    return Walk(
        draft=prompts.parse(text),
        job=job,
        calls=pipelines(job, house),
        form=form.values,
        info=[*(each for each in told.body if not each.startswith(of_every_job)), f"private: {told.private}"],
        again=await house.row((await house.ask(values.pop("prompt"), **values)).id),
    )


def asked_for(job: Job) -> object:
    """All of a job that an option may change, as it was stored."""
    return job.request.to_json(), job.style, job.relaxed, job.origin.private


async def check(name: str, house: House, pipelines: Pipelines) -> None:
    """Raises AssertionError where the option is lost on the way."""
    param = PARAMS[name]
    first = await house.painted("a circle --seed 2 --count 2")
    pictures = {"source": f"{first.id}:1", "images": f"{first.id}:2"}
    value = pictures.get(name) or UNUSUAL.get(name, param.example)
    if name == "mask":
        masked = await house.painted("a fox --count 1", source=f"{first.id}:1", region="bottom left")
        value = f"{masked.id}:mask"
    needed = {
        **{each: {"source": pictures["source"]} for each in OF_A_SOURCE},
        "weights": pictures,
        "control_weight": {"source": pictures["source"], "control": "edges"},
        "control_as_is": {"source": pictures["source"], "control": "edges"},
        "text_place": {"text": "SALE"},
        "text_style": {"text": "SALE"},
        "quality": {"format": "jpeg"},
    }
    others = {"count": "1", "seed": "1"} | needed.get(name, {})
    plain = f"a fox {prompts.flags(others)}"
    others.pop(name, None)
    without = await walk(plain, house, pipelines)
    with_it = await walk(f"a fox {prompts.flags(others)} {param.flag} {value}".strip(), house, pipelines)

    assert getattr(with_it.draft, name) not in ("", None), "it is not read"
    assert asked_for(with_it.job) != asked_for(without.job), "it is not put into the request"
    if name not in (*OF_THE_JOB, *AFTER_PAINTING):
        assert with_it.calls != without.calls, "the pipeline is not told"
    assert RECALLED.get(name, name) in with_it.form, "the form does not show it"
    assert asked_for(with_it.again) == asked_for(with_it.job), "the form asks for something else"
    assert with_it.info != without.info, "the info does not tell it"


@pytest.mark.parametrize(
    "name", [each for each in PARAMS if each not in ("prompt", *OF_SEVERAL_JOBS, *OF_REFERENCES)]
)
async def test_an_option_goes_all_the_way_and_back(name: str, easel: House, pipelines: Pipelines) -> None:
    await check(name, easel, pipelines)


# ---- the walk notices


def _without(param: str, **wiring: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setitem(PARAMS, param, replace(PARAMS[param], **wiring))  # type: ignore[arg-type]


def _silent_pipeline(patch: pytest.MonkeyPatch) -> None:
    arguments = Family.arguments

    def forgetful(self: Family, *given: Any) -> dict[str, Any]:
        return {name: each for name, each in arguments(self, *given).items() if name != "guidance_scale"}

    patch.setattr(Family, "arguments", forgetful)


def _forgetful_row(patch: pytest.MonkeyPatch) -> None:
    to_json = GenerationRequest.to_json

    def forgetful(self: GenerationRequest) -> dict[str, Any]:
        return {**to_json(self), "guidance": FIRST.guidance}

    patch.setattr(GenerationRequest, "to_json", forgetful)


def _forgetful_form(patch: pytest.MonkeyPatch) -> None:
    recall = prompts.recall
    patch.setattr(remake.prompts, "recall", lambda *given: replace(recall(*given), guidance=None))


def _undeclared(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(PARAMS, "guidance", Param(name="guidance", kind="text", help="x", example="x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "half_wire",
    [
        _without("guidance", field=""),
        _without("guidance", field="steps"),
        _without("guidance", fact=lambda _: ""),
        _without("guidance", usual=lambda _: 5.0),
        _undeclared,
        _silent_pipeline,
        _forgetful_row,
        _forgetful_form,
    ],
)
async def test_an_option_that_is_wired_by_half_is_noticed(
    half_wire: Callable[[pytest.MonkeyPatch], None],
    easel: House,
    pipelines: Pipelines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half_wire(monkeypatch)

    with pytest.raises(AssertionError):
        await check("guidance", easel, pipelines)


# ---- every surface offers it


@each_option
def test_every_surface_offers_it(name: str) -> None:
    param, imagine = PARAMS[name], commands.command("imagine")
    value = UNUSUAL.get(name, param.example)
    (slash,) = (each for each in discord.slash_commands(_never, _never) if each.name == "imagine")
    form = Form(command="imagine", title="x", values={})
    blocks = slack_forms.modal(form, slack_forms.About(), {})["blocks"]
    typed = ["imagine", "a fox", param.flag, *([value] if param.kind != "boolean" else [])]

    assert param.command or name in {each.name for each in slash.parameters}  # type: ignore[union-attr]
    assert name in {each["block_id"] for each in blocks}
    assert getattr(cli.parser().parse_args(typed), name)
    assert param.flag in "\n".join(answers.help(imagine).body)
    if name not in discord_forms._OWN:  # it shares a field with others, as a flag
        more = ["--source x:1"] if name in (*OF_A_SOURCE, "control_weight", "control_as_is") else []
        more += ["--control edges"] if name in ("control_weight", "control_as_is") else []
        assert discord_forms._flags(" ".join([*more, *typed[2:]]))[name]


async def _never(*given: Any) -> Any:
    raise AssertionError(given)


def test_every_chip_is_an_option_with_its_range() -> None:
    tier = Tier(name="everyone", title="Everyone", max_steps=30)
    (imagine,) = (each for each in commands.vocabulary((FIRST,), (tier,)) if each.name == "imagine")
    models = [("first", "First"), ("second", "Second")]
    offered = composer.Offered(tier=tier, imagine=imagine, models=models)
    chips = {each.option: each for each in composer.chips(offered)}

    assert chips.keys() == {name for name, each in PARAMS.items() if each.chip}
    assert (chips["steps"].minimum, chips["steps"].maximum) == (1, 30)


# ---- models that do not take it


def test_what_no_model_takes_is_not_offered() -> None:
    tier = Tier(name="everyone", title="Everyone")
    plain = replace(FIRST, strength=False, negative_prompt=False, loras=())

    def offered(*models: Any) -> set[str]:
        (imagine,) = (each for each in commands.vocabulary(models, (tier,)) if each.name == "imagine")
        return {each.name for each in imagine.options}

    assert PARAMS.keys() - offered(plain) == {"strength", "negative", "loras", "reference_weight"}
    assert PARAMS.keys() - offered(plain, FIRST) == {"reference_weight"}
    words = replace(FIRST, tasks=frozenset(("text_to_image",)), controlled=frozenset())
    of_a_control = {"control_weight", "control_as_is", "reference_weight"}
    assert PARAMS.keys() - offered(words) == {"source", *OF_A_SOURCE, "weights", *of_a_control}
    assert discord.slash_commands(_never, _never, commands.vocabulary((plain,), (tier,)))
