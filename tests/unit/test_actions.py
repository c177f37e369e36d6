from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import actions, upscaling
from bot.actions import ACTIONS, Action, ActionSpec, Name, derive, parse
from bot.errors import Refusal
from bot.models import Job, Member, Origin, State, StoredPicture, new_id
from engine.types import TRANSPARENT, CreativeUpscale, CutOut, GenerationRequest, ImageToImage, Upscale

REQUEST = GenerationRequest(prompt="a fox", seed=7, width=512, height=384, count=2, steps=9)


def job(request: GenerationRequest = REQUEST, *, state: State = State.RENDERED) -> Job:
    pictures = [
        StoredPicture(index=i, blob=f"{i}.png", seed=request.seed_of(i), width=512, height=384)
        for i in range(request.count)
    ]
    grid = StoredPicture(index=-1, blob="grid.png", seed=7, width=1032, height=384)
    member = Member(tenant="t", id="m", name="M")
    return Job(
        id="1a2b3c4d5e6f",
        origin=Origin(surface="s", member=member, channel="c", event="e"),
        request=request,
        prompt="a fox",
        state=state,
        created=datetime.now(UTC),
        pictures=(grid, *pictures),
    )


@pytest.mark.parametrize(
    "spec", [each for each in ACTIONS if each.about != "text"], ids=lambda each: each.name
)
def test_an_id_comes_back_as_its_action(spec: ActionSpec) -> None:
    index = 15 if spec.about == "picture" else None
    action = Action(name=spec.name, job=new_id(), index=index)
    assert parse(action.id) == action
    assert actions.fits(action.id)
    assert actions.job_in(action.id) == (action.job if spec.about not in ("key", "sent") else "")


def test_the_ids_that_posted_messages_carry_stay_valid() -> None:
    assert parse("v1:vary_subtle:1a2b3c4d5e6f:2") == Action(name="vary_subtle", job="1a2b3c4d5e6f", index=2)
    assert parse("v1:again:1a2b3c4d5e6f") == Action(name="again", job="1a2b3c4d5e6f")
    assert parse("v1:try:a fox: red --count 4") == Action(name="try", text="a fox: red --count 4")


def test_what_derives_a_job_may_be_relaxed() -> None:
    for name in actions.DERIVING:
        action = Action(
            name=name, job=new_id(), index=None if actions.SPECS[name].about == "job" else 2, relax=True
        )
        assert parse(action.id) == action
    with pytest.raises(Refusal):
        parse("v1:delete:1a2b3c4d5e6f:relax")


@given(st.one_of(st.text(), st.text(alphabet="v1:agin0_2").map("v1:".__add__)))
def test_garbage_is_refused(text: str) -> None:
    try:
        action = parse(text)
    except Refusal as error:
        assert error.code == "unknown"
    else:
        assert action.id == text


def test_an_upscale_is_four_times_the_picture() -> None:
    request = derive(Action(name="upscale", job="x", index=1), job(), 99)
    assert (request.task, request.count) == (Upscale(source="1.png", factor=4), 1)
    assert (request.width, request.height) == (2048, 1536)
    assert request.seed == 8  # the picture's own: nothing is painted


@pytest.mark.parametrize(("name", "strength"), actions.STRENGTH.items())
def test_a_variation_starts_from_the_picture(name: Name, strength: float) -> None:
    request = derive(Action(name=name, job="x", index=1), job(), 99)
    assert request == replace(REQUEST, task=ImageToImage(source="1.png", strength=strength), seed=99)


def large(width: int, height: int) -> Job:
    found = job(REQUEST.enlarged("0.png", 512, 384))
    return replace(
        found, pictures=tuple(replace(each, width=width, height=height) for each in found.pictures)
    )


def test_what_is_upscaled_is_upscaled_again_as_far_as_there_is_room() -> None:
    request = derive(Action(name="upscale", job="x", index=0), large(2048, 1536), 99)

    assert (
        request.width * request.height <= upscaling.MOST_PIXELS < (request.width + 4) * (request.height + 4)
    )
    assert (request.before_upscale().width, request.before_upscale().height) == (2048, 1536)
    with pytest.raises(Refusal, match="That image has 4800 × 3600 already") as caught:
        derive(Action(name="upscale", job="x", index=0), large(4800, 3600), 99)
    assert caught.value.code == "enlarged"


def test_a_creative_upscale_is_twice_the_picture() -> None:
    request = derive(Action(name="upscale_creative", job="x", index=1), job(), 99)

    assert request.task == CreativeUpscale(source="1.png", factor=2)
    assert (request.width, request.height, request.count) == (1024, 768, 1)


def test_a_cut_out_is_of_the_picture_s_size_and_its_variations_are_cut_out() -> None:
    request = derive(Action(name="cut_out", job="x", index=1), job(), 99, background="#00aaff")
    assert (request.task, request.background) == (CutOut(source="1.png"), "#00aaff")
    assert (request.width, request.height, request.count) == (512, 384, 1)

    cut = derive(Action(name="cut_out", job="x", index=0), job(), 99)
    varied = derive(Action(name="vary_subtle", job="x", index=0), job(cut), 99)
    assert (varied.source, varied.kind, varied.background) == ("0.png", "image_to_image", TRANSPARENT)
    assert derive(Action(name="upscale", job="x", index=0), job(cut), 99).before_upscale().background


def test_again_changes_the_seed_alone() -> None:
    assert derive(Action(name="again", job="x"), job(), 99) == replace(REQUEST, seed=99)
    varied = replace(REQUEST, task=ImageToImage(source="1.png", strength=0.4))
    assert derive(Action(name="again", job="x"), job(varied), 99) == replace(varied, seed=99)


def test_variations_of_an_enlarged_picture_start_from_the_small_one() -> None:
    enlarged = REQUEST.enlarged("0.png", 512, 384)
    request = derive(Action(name="vary_strong", job="x", index=0), job(enlarged), 99)
    assert (request.source, request.width, request.height) == ("0.png", 512, 384)
    assert (request.kind, request.count) == ("image_to_image", 4)


@pytest.mark.parametrize(
    ("parent", "index", "notice"),
    [
        (job(), 2, "There is no image 3; that job has 2."),
        (job(replace(REQUEST, count=1)), 1, "There is no image 2; that job has only one."),
        (job(state=State.FAILED), 0, "That job has no images. Press Again to run it once more."),
    ],
)
def test_what_cannot_be_derived(parent: Job, index: int, notice: str) -> None:
    with pytest.raises(Refusal) as caught:
        derive(Action(name="upscale", job="x", index=index), parent, 99)
    assert caught.value.notice == notice
