"""Pictures made by pictures: instructions, blends, references, and going back."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card, Form
from bot.models import Job, Member, State
from bot.prompts import turns
from engine.types import Blend, Edit, ImageToImage, TextToImage
from engine.workers.fake import FakeEngine
from tests.scenario.conftest import ADA, BEN, BOSS, SMALL, House, Opens, button

KLEIN = replace(SMALL, name="klein", references=4, strength=False)


def png(colour: str = "red", size: tuple[int, int] = (64, 64), mode: str = "RGB", kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(out, kind)
    return out.getvalue()


def sixteen_bits() -> bytes:
    out = io.BytesIO()
    Image.new("I;16", (64, 64), 40_000).save(out, "PNG")
    return out.getvalue()


def animated() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    return out.getvalue()


@pytest.fixture(params=["memory", "klein"])
def model(request: pytest.FixtureRequest) -> str:
    """A model that starts from pictures, and one that takes references."""
    return str(request.param)


@pytest.fixture
async def both(opened: Opens) -> AsyncIterator[House]:
    def engine(blobs: Any) -> FakeEngine:
        return FakeEngine(blobs.read, models=(SMALL, KLEIN))

    async with opened(make_engine=engine) as house:
        yield house


@pytest.fixture
async def plain(opened: Opens) -> AsyncIterator[House]:
    async with opened() as house:
        yield house


async def done(house: House, command: str, member: Member = ADA, **options: Any) -> Job:
    answer = await house.easel.router.handle(command, options, house.origin(member))
    assert isinstance(answer, Receipt)
    card = await house.surface.until(answer.job.id, "done", "failed")
    assert card.kind == "done", card.body
    return await house.row(answer.job.id)


async def refused(house: House, command: str, member: Member = ADA, **options: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await house.easel.router.handle(command, options, house.origin(member))
    return caught.value.notice


# ---- instructions


async def test_an_instruction_is_given_to_a_model_with_references(both: House) -> None:
    cup = await both.painted("a cup on a table --count 1")
    edited = await done(both, "edit", prompt="make the cup red", image=f"{cup.id}:1", count=1)

    assert edited.request.model == "klein"  # the first one that follows instructions
    assert edited.request.task == Edit(
        sources=(cup.singles[0].blob,), instruction="make the cup red", shows="a cup on a table"
    )
    assert edited.prompt == edited.request.prompt == "a red cup on a table"
    assert (edited.parent, edited.action) == (cup.id, "edit")
    assert edited.note == "memory cannot be used for this, so klein was used."


async def test_another_model_starts_from_the_picture_and_says_so(plain: House) -> None:
    cup = await plain.painted("a cup on a table --count 1")
    edited = await done(plain, "edit", prompt="make the cup red", image=f"{cup.id}:1", count=1)

    assert edited.request.prompt == "a red cup on a table"
    assert isinstance(edited.request.task, Edit)
    assert edited.note == "memory takes no instructions, so it started from the image, with this prompt."


async def test_words_that_no_rule_understands_are_added_and_that_is_said(plain: House) -> None:
    cup = await plain.painted("a cup --count 1")
    edited = await done(plain, "edit", prompt="カップを赤くして", image=f"{cup.id}:1", count=1)

    assert edited.prompt == "a cup, カップを赤くして"
    assert "Your words were added to the image's own." in edited.note


async def test_a_file_is_changed(both: House) -> None:
    edited = await done(both, "edit", prompt="make it blue", source=png(), count=1)

    assert edited.prompt == "blue"
    assert edited.request.task.instruction == "make it blue"  # type: ignore[union-attr]
    assert await both.easel.images.get(edited.request.sources[0])


async def test_the_form_of_an_edit_asks_for_it_again(both: House, model: str) -> None:
    cup = await both.painted("a cup on a table --count 1")
    text = f"make the cup red --edit --source {cup.id}:1 --count 1 --seed 3 --model {model}"
    edited = await both.painted(text)
    form = await both.press(f"v1:edit:{edited.id}")
    assert isinstance(form, Form)

    values = dict(form.values)
    again = await both.painted(values.pop("prompt"), **values)

    assert form.values["prompt"] == "make the cup red"
    assert again.request == edited.request


async def test_a_press_asks_what_to_change(both: House) -> None:
    cup = await both.painted("a cup on a table --count 2")
    second = await both.press(button(both.surface.messages[cup.id][-1], "Image 2 …"))
    form = await both.press(button(second, "Change image"))
    assert isinstance(form, Form)

    values = {**form.values, "prompt": "make the cup red"}
    answer = await both.easel.router.handle("imagine", values, both.origin(), parent=form.parent)

    assert isinstance(answer, Receipt)
    assert answer.job.request.sources == (cup.singles[1].blob,)
    assert answer.job.prompt == "a red cup on a table"


async def test_an_instruction_is_judged_as_a_prompt_is(both: House) -> None:
    cup = await both.painted("a cup --count 1")

    notice = await refused(both, "edit", prompt="make the child naked", image=f"{cup.id}:1")

    assert notice and (await both.store.strikes_of([ADA.id]))


async def test_somebody_else_s_private_picture_is_not_changed(both: House) -> None:
    cup = await both.painted("a cup --private --count 1")

    for command, options in (
        ("edit", {"prompt": "make it red", "image": f"{cup.id}:1"}),
        ("blend", {"images": f"{cup.id}:1,{cup.id}:1", "image1": png()}),
        ("imagine", {"prompt": "a fox", "sref": f"{cup.id}:1"}),
        ("reference save", {"name": "mine", "image": f"{cup.id}:1"}),
    ):
        assert f"There is no job {cup.id} here." in await refused(both, command, BEN, **options)


async def test_what_is_made_of_a_private_picture_is_private(both: House) -> None:
    cup = await both.painted("a cup --private --count 1")
    await both.painted("a fox")

    edited = await done(both, "blend", images=f"{cup.id}:1", image1=png(), count=1)

    assert edited.origin.private


async def test_a_picture_that_was_deleted_before_it_is_painted_ends_the_job(
    opened: Opens, model: str
) -> None:
    def engine(blobs: Any) -> FakeEngine:
        return FakeEngine(blobs.read, models=(SMALL, KLEIN), step_seconds=0.0)

    async with opened(make_engine=engine) as house:
        cup = await house.painted("a cup --count 1")
        blob = cup.singles[0].blob
        (file,) = house.settings.data_dir.rglob(blob.rpartition("/")[2])
        file.unlink()

        answer = await house.easel.router.handle(
            "edit", {"prompt": "make it red", "image": f"{cup.id}:1", "model": model}, house.origin()
        )
        assert isinstance(answer, Receipt)
        card = await house.surface.until(answer.job.id, "failed")

    assert "The source image is gone. Choose another." in " ".join(card.body)
    assert "Nothing was charged." in " ".join(card.body)


# ---- blends


async def test_files_and_images_are_blended(both: House, model: str) -> None:
    fox = await both.painted("a fox --count 1")
    mixed = await done(
        both,
        "blend",
        image1=png(),
        image2=png("blue"),
        images=f"{fox.id}:1",
        prompt="a pattern",
        weights="2:1:1",
        model=model,
        count=1,
    )

    task = mixed.request.task
    assert isinstance(task, Blend) and task.weights == (2.0, 1.0, 1.0)
    assert len(task.sources) == 3 and fox.singles[0].blob in task.sources
    told = "memory takes one image, so it started from a mix of yours."
    assert mixed.note == (told if model == "memory" else "")
    assert set(task.sources) <= await both.store.blobs(), "the sweep would remove what the job needs"
    assert await both.easel.images.get(task.sources[2])


async def test_a_weight_for_each_picture_is_read_as_midjourney_writes_it(both: House) -> None:
    fox = await both.painted("a fox --count 2")
    mixed = await both.painted(f"a pattern --images {fox.id}:1,{fox.id}:2 --iw 2:1 --count 1")

    task = mixed.request.task
    assert isinstance(task, Blend) and task.weights == (2.0, 1.0)


async def test_six_pictures_are_refused_with_one_sentence(both: House) -> None:
    fox = await both.painted("a fox --count 1")
    files = {f"image{number}": png() for number in range(1, 6)}

    notice = await refused(both, "blend", **files, images=f"{fox.id}:1")

    assert notice == "One image can be made of 5 at most; you gave 6. Leave some out."
    assert await refused(both, "blend", image1=png()) == "A blend takes 2 to 5 images. Give one more."


async def test_weights_that_are_not_one_for_each_picture_are_refused(both: House) -> None:
    notice = await refused(both, "blend", image1=png(), image2=png(), weights="1:2:3")

    assert notice == "There are 3 weights for 2 images. Give one for each image."


@pytest.mark.parametrize(
    "file",
    [png(mode="CMYK", kind="JPEG"), sixteen_bits()],
    ids=["cmyk", "16 bit"],
)
async def test_odd_files_are_blended(both: House, file: bytes) -> None:
    mixed = await done(both, "blend", image1=file, image2=png(), count=1)

    assert mixed.state is State.RENDERED


async def test_an_animated_file_is_refused(both: House) -> None:
    notice = await refused(both, "blend", image1=animated(), image2=png())

    assert notice == "That image is animated. Send one frame of it."


# ---- references


async def test_references_are_shown_to_a_model_that_takes_them(both: House) -> None:
    fox = await both.painted("a fox --count 1")
    made = await both.painted(f"a cup --sref {fox.id}:1 --cref {fox.id}:1 --count 1")

    blob = fox.singles[0].blob
    assert made.request.task == Edit(sources=(blob, blob), keep=False, style=1, subject=1)
    assert (made.request.model, made.request.prompt) == ("klein", "a cup")


async def test_another_model_is_told_their_colours_in_words(plain: House) -> None:
    await plain.easel.router.handle("reference save", {"name": "brand", "picture": png()}, plain.origin())
    made = await plain.painted("a cup --sref brand --count 1")

    assert made.request.task == TextToImage()
    assert made.request.prompt == made.prompt == "a cup, in red colours"
    assert made.note == "memory takes no style reference, so its colours were added as words."


@pytest.mark.parametrize("flag", ["--sref https://example.org/x.png", "--sref 1234", "--cref random"])
async def test_references_of_other_tools_are_left_out(both: House, flag: str) -> None:
    made = await both.painted(f"a cup {flag} --count 1")

    assert made.request.task == TextToImage()
    assert made.note.startswith("Nothing here does the same, so it was left out:")


async def test_a_saved_reference_is_its_person_s_until_it_is_deleted(both: House) -> None:
    async def save(name: str, member: Member, **options: Any) -> Any:
        return await both.easel.router.handle(
            "reference save", {"name": name, **options}, both.origin(member)
        )

    await save("mine", ADA, picture=png())
    made = await both.painted("a cup --sref mine --count 1")

    assert made.request.sources[0] in await both.store.blobs()
    assert "There is no job mine here" in await refused(both, "imagine", BEN, prompt="a cup --sref mine")
    listed = await both.easel.router.handle("reference list", {}, both.origin())
    assert isinstance(listed, Card) and listed.body == ("mine: a file",)
    await both.easel.router.handle("reference delete", {"name": "mine"}, both.origin())
    assert "There is no job mine here" in await refused(both, "imagine", prompt="a cup --sref mine")


async def test_a_place_keeps_references_that_everybody_there_may_see(both: House) -> None:
    fox = await both.painted("a fox --count 1", BOSS)
    secret = await both.painted("a fox --count 1 --private", BOSS)
    place = {"name": "ours", "place": True}

    assert "Only administrators" in await refused(both, "reference save", **place, image=f"{fox.id}:1")
    notice = await refused(both, "reference save", BOSS, **place, image=f"{secret.id}:1")
    assert notice.startswith("That image is private")
    await both.easel.router.handle("reference save", {**place, "image": f"{fox.id}:1"}, both.origin(BOSS))
    made = await both.painted("a cup --sref ours --count 1", BEN)
    assert made.request.sources == (fox.singles[0].blob,)
    await both.press(f"v1:delete:{fox.id}", BOSS)
    assert "There is no job ours here" in await refused(both, "imagine", BEN, prompt="a cup --sref ours")


async def test_saved_references_are_forgotten_with_their_person(both: House) -> None:
    await both.easel.router.handle("reference save", {"name": "mine", "picture": png()}, both.origin())
    (kept,) = await both.store.references(ADA)

    await both.store.begin_erasure([ADA.id])
    await both.store.erase([ADA.id])

    assert await both.store.references(ADA) == []
    assert kept.blob not in await both.store.blobs()


# ---- going back


async def turn(house: House, parent: Job, words: str) -> Job:
    options = await house.easel.changes.changed(parent.id, words, "", house.origin())
    answer = await house.easel.router.handle("imagine", options, house.origin(), parent=parent.id)
    assert isinstance(answer, Receipt)
    await house.surface.until(answer.job.id, "done")
    return await house.row(answer.job.id)


async def test_a_conversation_can_be_gone_back(both: House) -> None:
    first = await both.painted("a cup on a table --count 1")
    second = await turn(both, first, "make the cup red")
    third = await turn(both, second, "make the table blue")

    async def back(words: str) -> Job:
        found = turns.read(words)
        assert found
        return await both.easel.changes.turned(third.id, found, both.origin())

    assert third.prompt == "a red cup on a blue table"
    assert (await back("undo")).id == second.id
    assert (await back("back to the first")).id == first.id
    branch = await turn(both, await back("back to the second"), "make the table green")
    assert (branch.prompt, branch.parent) == ("a red cup on a green table", second.id)
    with pytest.raises(Refusal, match="There are 3 images in this conversation"):
        await back("back to the sixth")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("undo", turns.Back()),
        ("Undo that, please", turns.Back()),
        ("undo it and make it green", turns.Back(rest="make it green")),
        ("go back to the second one", turns.Back(2)),
        ("back to the original, make it blue", turns.Back(1, "make it blue")),
        ("mach das rückgängig", turns.Back()),
        ("rückgängig", turns.Back()),
        ("zurück zum zweiten", turns.Back(2)),
        ("annule", turns.Back()),
        ("retour à la deuxième", turns.Back(2)),
        ("back to work", None),
        ("a path back to the first house", None),
        ("undo your coat", None),
    ],
)
def test_words_that_go_back(words: str, found: turns.Back | None) -> None:
    assert turns.read(words) == found


# ---- variations


@pytest.mark.parametrize(("name", "strength"), [("vary_subtle", 0.4), ("vary_strong", 0.75)])
async def test_pictures_by_pictures_can_be_varied(
    both: House, model: str, name: str, strength: float
) -> None:
    cup = await both.painted("a cup --count 1")
    edited = await done(both, "edit", prompt="make it red", image=f"{cup.id}:1", model=model, count=1)
    answer = await both.press(f"v1:{name}:{edited.id}:0")

    assert isinstance(answer, Receipt)
    assert answer.job.request.task == ImageToImage(source=edited.singles[0].blob, strength=strength)


async def test_the_form_of_references_names_them(both: House) -> None:
    fox = await both.painted("a fox --count 1")
    made = await both.painted(f"a cup --sref {fox.id}:1 --cref {fox.id}:1 --source {fox.id}:1 --count 1")
    form = await both.press(f"v1:edit:{made.id}")
    assert isinstance(form, Form)

    values = dict(form.values)
    again = await both.painted(values.pop("prompt"), **values)

    named = {name: form.values[name] for name in ("source", "sref", "cref")}
    assert named == {
        "source": f"{made.id}:source",
        "sref": f"{made.id}:source2",
        "cref": f"{made.id}:source3",
    }
    assert again.request == made.request
