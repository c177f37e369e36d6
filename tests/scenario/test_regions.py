"""Changing a part of a picture, and painting around one, through the whole studio."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bot.actions import EXTENDING
from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card, Form
from bot.models import Job, State
from engine.types import Inpaint, Outpaint
from tests.scenario.conftest import ADA, BEN, House, Opens, button

EDITS = (
    "top left",
    "bottom right",
    "cells 13",
    "40,0,60,20",
    "cells 21 22",
    "rechts unten",
    "en haut à gauche",
    "80,80,100,100",
    "cells 1",
    "middle",
)


def png(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    drawn = Image.new("L", size)
    ImageDraw.Draw(drawn).rectangle(box, fill=255)
    return drawn


async def pixels(house: House, job: Job, index: int = 0) -> np.ndarray:
    picture = next(each for each in job.pictures if each.index == index)
    return np.asarray((await house.image(picture.blob)).convert("RGB"))


async def first_picture(house: House, member: Any = ADA, **options: Any) -> Job:
    return await house.painted("a circle --count 1 --seed 2", member, **options)


async def blobs(house: House, job: Job) -> np.ndarray:
    assert isinstance(job.request.task, Inpaint)
    return np.asarray((await house.image(job.request.task.mask)).convert("L"))


async def test_ten_edits_in_a_row_leave_every_other_pixel(house: House) -> None:
    job = await first_picture(house)
    start = await pixels(house, job)
    touched = np.zeros(start.shape[:2], bool)
    for number, region in enumerate(EDITS):
        job = await house.painted("a star", source=f"{job.id}:1", region=region, count="1", seed=str(number))
        marked = await blobs(house, job) > 127
        grown = np.zeros_like(touched)
        for y, x in np.argwhere(marked):
            grown[max(0, y - 8) : y + 9, max(0, x - 8) : x + 9] = True
        touched |= grown
        now = await pixels(house, job)
        assert now.shape == start.shape
        assert (now[~touched] == start[~touched]).all()
        assert (now[marked] != start[marked]).any()
    assert not touched.all()


async def test_an_edited_picture_leads_to_a_job_of_this_easel(house: House) -> None:
    first = await house.painted("a circle --count 1 --seed 2 --size 256x256")
    edited = await house.painted("a star", source=f"{first.id}:1", region="top left", count="1")
    (picture,) = edited.pictures
    data = await house.easel.images.get(picture.blob)

    told = await house.easel.images.verify(data)
    again = await house.easel.images.verify(png(Image.open(io.BytesIO(data)).convert("RGB")))

    assert (told.finding, told.job) == ("unchanged", edited.id)
    assert again.finding in ("changed", "alike") and again.job in (first.id, edited.id)


@pytest.mark.parametrize("name", EXTENDING)
async def test_a_picture_is_extended_and_its_middle_stays(name: str, house: House) -> None:
    first = await house.painted("a circle --count 1 --seed 2 --size 96x64")
    receipt = await house.press(f"v1:{name}:{first.id}:0")
    assert isinstance(receipt, Receipt)
    await house.surface.until(receipt.job.id, "done")
    job = await house.row(receipt.job.id)

    task = job.request.task
    assert isinstance(task, Outpaint) and (task.width, task.height) == (96, 64)
    now = await pixels(house, job)
    middle = now[task.top : task.top + 64, task.left : task.left + 96]
    assert (middle == await pixels(house, first)).all()
    expected = {
        "zoom_15": (144, 96),
        "zoom_2": (192, 128),
        "square": (96, 96),
        "pan_left": (144, 64),
        "pan_right": (144, 64),
        "pan_up": (96, 96),
        "pan_down": (96, 96),
    }[name]
    assert (job.request.width, job.request.height) == expected
    assert (task.left == 0) == (name in ("square", "pan_right", "pan_up", "pan_down"))
    assert job.parent == first.id and job.prompt == first.prompt


async def test_what_is_too_large_is_made_smaller_first(house: House) -> None:
    most = max(each.max_side for each in house.engine.models())
    source = Image.radial_gradient("L").resize((most, most)).convert("RGB")
    job = await house.painted("a meadow", source=png(source), extend="2x", count="1")

    task = job.request.task
    assert isinstance(task, Outpaint) and task.width < most
    now = await pixels(house, job)
    middle = now[task.top : task.top + task.height, task.left : task.left + task.width]
    expected = source.resize((task.width, task.height), Image.Resampling.LANCZOS)
    assert max(now.shape[:2]) <= most
    assert (middle == np.asarray(expected)).all()


async def test_a_guess_is_shown_before_it_is_painted(house: House) -> None:
    source = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(source).ellipse((20, 24, 44, 48), fill="red")
    first = await house.painted("a ball", source=png(source), strength="0", count="1")
    asked = await house.easel.router.handle(
        "imagine", {"prompt": "a pear", "source": f"{first.id}:source", "region": "the ball"}, house.origin()
    )

    assert isinstance(asked, Card) and asked.pictures
    seen = await house.image(asked.pictures[0].blob)
    assert seen.size == (64, 64)
    assert [each.label for row in asked.rows for each in row] == ["Paint it"]
    receipt = await house.press(button(asked, "Paint it"))
    assert isinstance(receipt, Receipt)
    await house.surface.until(receipt.job.id, "done")
    marked = await blobs(house, await house.row(receipt.job.id)) > 127
    assert marked[36, 32] and not marked[:16].any() and not marked[:, 54:].any()


async def test_the_background_is_all_but_what_stands_out(house: House) -> None:
    source = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(source).ellipse((20, 24, 44, 48), fill="red")
    first = await house.painted("a ball", source=png(source), strength="0", count="1")
    asked = await house.easel.router.handle(
        "imagine",
        {"prompt": "snow", "source": f"{first.id}:source", "region": "the background"},
        house.origin(),
    )
    receipt = await house.press(button(asked, "Paint it"))
    marked = await blobs(house, await house.row(receipt.job.id)) > 127
    assert marked[2, 2] and not marked[36, 32]


async def refused(house: House, *, member: Any = ADA, prompt: str = "a pear", **options: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await house.easel.router.handle("imagine", {"prompt": prompt, **options}, house.origin(member))
    return caught.value


async def test_a_region_that_nothing_matches_is_said(house: House) -> None:
    flat = png(Image.new("RGB", (64, 64), "grey"))
    first = await house.painted("grey", source=flat, strength="0", count="1")

    refusal = await refused(house, source=f"{first.id}:source", region="the cup")

    assert refusal.notice.startswith("Nothing in the image matches “the cup”, so nothing was charged.")


BLACK = Image.new("L", (64, 64))
MASKS: dict[str, Callable[[], bytes]] = {
    "another size": lambda: png(mask((128, 96), (0, 0, 64, 96))),
    "white": lambda: png(Image.new("L", (64, 64), 255)),
    "one white pixel": lambda: png(Image.new("L", (1, 1), 255)),
    "CMYK": lambda: png(mask((64, 64), (0, 0, 32, 63)).convert("RGB").convert("CMYK"), "JPEG"),
    "16 bit": lambda: png(Image.fromarray(np.pad(np.full((32, 64), 65535, np.uint16), ((0, 32), (0, 0))))),
    "with transparency": lambda: png(
        Image.merge("LA", (BLACK, mask((64, 64), (0, 0, 40, 63)).point(lambda v: 255 - v)))
    ),
}


@pytest.mark.parametrize("kind", MASKS)
async def test_any_mask_that_marks_something_is_taken(kind: str, house: House) -> None:
    first = await first_picture(house)

    job = await house.painted("a star", source=f"{first.id}:1", mask=MASKS[kind](), count="1")

    assert isinstance(job.request.task, Inpaint)
    now, before = await pixels(house, job), await pixels(house, first)
    assert now.shape == before.shape and (now[:24, :24] != before[:24, :24]).any()
    if "white" not in kind:
        assert (now[:, 62:] == before[:, 62:]).all() or (now[62:] == before[62:]).all()


@pytest.mark.parametrize(
    "black", [Image.new("L", (64, 64)), Image.new("L", (1, 1)), Image.new("RGB", (9, 9))]
)
async def test_a_black_mask_is_refused(black: Image.Image, house: House) -> None:
    first = await first_picture(house)

    refusal = await refused(house, source=f"{first.id}:1", mask=png(black))

    assert refusal.notice == "The mask marks nothing. Mark what is to change."


async def test_an_animated_mask_is_refused(house: House) -> None:
    first = await first_picture(house)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    moving = png(frames[0], "WEBP", save_all=True, append_images=frames[1:])

    assert (await refused(house, source=f"{first.id}:1", mask=moving)).notice == (
        "That image is animated. Send one frame of it."
    )


async def test_somebody_else_s_private_picture_is_not_edited(house: House) -> None:
    first = await first_picture(house, private="yes")

    refusal = await refused(house, member=BEN, source=f"{first.id}:1", region="top left")
    with pytest.raises(Refusal) as pressed:
        await house.press(f"v1:zoom_2:{first.id}:0", BEN)
    with pytest.raises(Refusal) as asked:
        await house.press(f"v1:region:{first.id}", BEN)

    assert refusal.notice == pressed.value.notice == asked.value.notice
    edited = await first_picture(house)
    mine = await house.painted("a star", source=f"{edited.id}:1", region="top left", count="1", private="yes")
    assert (await refused(house, member=BEN, source=f"{edited.id}:1", mask=f"{mine.id}:mask")).notice


async def test_a_source_that_is_deleted_before_it_is_painted_charges_nothing(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        first = await first_picture(house)
        ahead = await house.ask("a house --count 4")
        job = await house.ask("a star", source=f"{first.id}:1", region="top left", count="1")
        await house.blobs.sweep((), older_than=-1.0)
        end = await house.surface.until(job.id, "failed", "done")
        assert ahead and end.kind == "failed"
        row = await house.delivered(job.id)
        assert row.state is State.FAILED and "Nothing was charged." in " ".join(end.body)

    async with opened() as house:
        gone = await house.press(f"v1:region_form:{first.id}:0")
        assert isinstance(gone, Form)
        assert (await refused(house, source=f"{first.id}:1", region="the cup")).notice == (
            "The source image is gone. Choose another."
        )


async def test_the_card_of_a_region_shows_cells_and_asks(house: House) -> None:
    several = await house.painted("a circle --count 2 --seed 2")
    which = await house.press(f"v1:region:{several.id}")
    card = await house.press(button(which, "2"))
    form = await house.press(button(card, "Mark it"))

    assert card.pictures and card.private
    assert form.values["source"] == f"{several.id}:2"
    assert form.values["prompt"] == form.values["region"] == "" and form.parent == several.id
    values = {**form.values, "prompt": "a star", "region": "cells 1 2"}
    job = await house.row((await house.ask(values.pop("prompt"), **values)).id)
    marked = await blobs(house, job) > 127
    assert marked[:12, :25].all() and not marked[14:].any() and not marked[:, 27:].any()


async def test_the_ways_to_extend_stand_behind_one_press(house: House) -> None:
    job = await first_picture(house)
    card = await house.press(f"v1:extend:{job.id}")
    labels = [each.label for row in card.rows for each in row]
    assert labels == ["Zoom out 1.5×", "Zoom out 2×", "Left", "Right", "Up", "Down"]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("extend", {"to": "16:9"}),
        ("extend", {"to": "left", "prompt": "a meadow"}),
        ("region", {"region": "top left", "prompt": "a sun"}),
        ("region", {"mask": png(mask((64, 64), (0, 0, 20, 20)))}),
    ],
)
async def test_commands_do_the_same(command: str, options: dict[str, object], house: House) -> None:
    first = await first_picture(house)
    answer = await house.easel.router.handle(command, {"job": first.id, **options}, house.origin())

    assert isinstance(answer, Receipt)
    await house.surface.until(answer.job.id, "done")
    job = await house.row(answer.job.id)
    assert isinstance(job.request.task, Outpaint if command == "extend" else Inpaint)
    assert job.prompt == options.get("prompt", first.prompt) and job.parent == first.id


async def test_a_region_is_painted_again_with_its_mask(house: House) -> None:
    first = await first_picture(house)
    job = await house.painted("a star", source=f"{first.id}:1", region="top left", count="1")
    again = await house.press(f"v1:again:{job.id}")
    await house.surface.until(again.job.id, "done")
    assert (await house.row(again.job.id)).request.task == job.request.task
    form = await house.press(f"v1:edit:{job.id}")
    values = dict(form.values)
    once_more = await house.painted(values.pop("prompt"), **values)
    assert isinstance(once_more.request.task, Inpaint)
    assert (await blobs(house, once_more) == await blobs(house, job)).all()


@pytest.mark.parametrize(
    ("options", "notice"),
    [
        ({"region": "top left"}, "Region needs a source image. Add one with --source."),
        ({"extend": "2x"}, "Extend needs a source image. Add one with --source."),
        (
            {"source": "SOURCE", "region": "top left", "extend": "2x"},
            "Region, mask and extend are one at a time.",
        ),
        (
            {"source": "SOURCE", "extend": "2x", "aspect": "16:9"},
            "Extend goes by the source image. Leave --aspect out.",
        ),
        ({"source": "SOURCE", "extend": "1:1"}, "The image has that aspect ratio already."),
        ({"source": "SOURCE", "extend": "9x"}, "A zoom can be up to 3x; you asked for 9x."),
        ({"source": "SOURCE", "region": "60,10,20,80"}, "A box is left, top, right and bottom in percent"),
        ({"source": "SOURCE", "region": "cells 26"}, "Cells are numbers from 1 to 25"),
    ],
)
async def test_what_cannot_be_understood_is_said(options: dict[str, str], notice: str, house: House) -> None:
    first = await first_picture(house)
    given = {name: f"{first.id}:1" if value == "SOURCE" else value for name, value in options.items()}

    assert notice in (await refused(house, **given)).notice


async def test_a_series_changes_a_region_too(house: House) -> None:
    first = await first_picture(house)
    options = {"source": f"{first.id}:1", "region": "top left", "count": "1", "repeat": "2"}
    asked = await house.easel.router.handle("imagine", {"prompt": "a star", **options}, house.origin())
    receipt = await house.press(asked.rows[0][0].id)

    assert isinstance(receipt, Receipt)
    for job in (receipt.job, *receipt.others):
        await house.surface.until(job.id, "done")
        assert (await blobs(house, await house.row(job.id)) > 127)[:32, :32].all()
    guess = await refused(house, **{**options, "region": "the cup"})
    assert guess.notice.startswith(("Nothing in the image", "Easel cannot tell where that is."))
