"""Images guided by pictures: a control made from one and shown, references by an IP-Adapter."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image, ImageDraw

from bot import app
from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.images import controls
from bot.messages.types import Form
from bot.models import Member, State
from bot.provenance import signing
from engine.types import Guide, GuideInfo, ImageToImage, Letter, TaskKind, TextToImage
from engine.workers.fake import FakeEngine
from tests.scenario.conftest import ADA, BEN, BOSS, SMALL, House, Opens

BOTH: frozenset[TaskKind] = frozenset({"text_to_image", "image_to_image"})
CANNY = GuideInfo(name="canny-sd15", takes="canny")
GUIDED = replace(
    SMALL,
    name="guided",
    guides=(
        CANNY,
        GuideInfo(name="scribbles", takes="scribble"),
        GuideInfo(name="depths", takes="depth"),
        GuideInfo(name="plus", takes="ip-adapter"),
    ),
    controlled=BOTH,
)
WORDS = replace(
    SMALL,
    name="words",
    guides=(replace(CANNY, terms="non-commercial"),),
    controlled=frozenset({"text_to_image"}),
)


def drawing(size: tuple[int, int] = (96, 64), mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A black frame on white."""
    picture = Image.new("L", size, 255)
    if min(size) > 20:
        ImageDraw.Draw(picture).rectangle((10, 10, size[0] - 10, size[1] - 10), outline=0, width=3)
    out = io.BytesIO()
    (picture.convert("I;16") if mode == "I;16" else picture.convert(mode)).save(out, kind)
    return out.getvalue()


@pytest.fixture
async def easel(opened: Opens) -> AsyncIterator[House]:
    async with opened(
        make_engine=lambda blobs: FakeEngine(blobs.read, models=(GUIDED, WORDS, SMALL))
    ) as house:
        yield house


async def told(house: House, text: str, member: Member = ADA, **options: object) -> Refusal:
    """Why somebody's request is refused."""
    with pytest.raises(Refusal) as refused:
        await house.easel.router.handle("imagine", {"prompt": text, **options}, house.origin(member))
    return refused.value


async def stored(house: House, blob: str) -> Image.Image:
    return Image.open(io.BytesIO(await house.easel.images.get(blob))).convert("RGB")


async def test_edges_guide_an_image_and_are_shown_before_it_is_painted(easel: House) -> None:
    job = await easel.delivered((await easel.ask("a door --control edges --count 1", source=drawing())).id)

    guide = job.request.control
    assert guide and (guide.kind, guide.by, guide.weight) == ("edges", "canny-sd15", 1.0)
    assert isinstance(job.request.task, TextToImage), "nothing starts from the image without a strength"
    assert job.request.width / job.request.height > 1.2, "its aspect ratio"
    made, of = await stored(easel, guide.picture), await stored(easel, guide.of)
    assert made.size == of.size == (96, 64)
    seen = np.asarray(made.convert("L"))
    assert set(np.unique(seen)) == {0, 255} and 0.02 < (seen > 0).mean() < 0.25, "thin lines on black"
    shown = next(card for card in easel.surface.messages[job.id] if card.kind == "waiting")
    (picture,) = shown.pictures
    assert picture.alt == "What guides the image"
    assert Image.open(io.BytesIO(picture.preview)).format == "WEBP"

    info = await easel.press(f"v1:info:{job.id}")
    assert "Control: edges of an image, by canny-sd15, weight 1" in info.body
    assert [each.blob for each in info.pictures] == [guide.picture]
    assert info.body[-1].endswith(f" --source {job.id}:edges --control edges")


async def test_edit_keeps_the_control_and_makes_another_from_the_same_image(easel: House) -> None:
    job = await easel.painted("a door --control canny --control-weight 0.5 --count 1", source=drawing())
    form = await easel.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    values = dict(form.values)
    assert (values["control"], values["control_weight"], values["source"]) == (
        "edges",
        "0.5",
        f"{job.id}:edges",
    )

    again = await easel.ask(values.pop("prompt"), **values)
    assert again.request == job.request, "the same edges of the same image"
    other = await easel.ask("a door", source=values["source"], control="scribble")
    guide = other.request.control
    assert guide and job.request.control
    assert guide.kind == "scribble" and guide.of == job.request.control.of
    assert (np.asarray(await stored(easel, guide.picture))[:, :, 0] > 127).mean() > 0.05, "thick lines"


async def test_with_a_strength_the_image_is_also_started_from(easel: House) -> None:
    job = await easel.painted("a door --control edges --strength 0.7 --count 1", source=drawing())

    assert job.request.task == ImageToImage(source=job.request.control.of, strength=0.7)  # type: ignore[union-attr]
    varied = await easel.press(f"v1:vary_subtle:{job.id}:0")
    assert isinstance(varied, Receipt)
    assert varied.job.request.control == job.request.control
    upscaled = await easel.press(f"v1:upscale:{job.id}:0")
    assert isinstance(upscaled, Receipt) and upscaled.job.request.guides == ()


async def test_a_control_picture_is_taken_as_it_is(easel: House) -> None:
    job = await easel.painted("a door --control depth --control-as-is --count 1", source=drawing())
    guide = job.request.control
    assert guide and guide.of == ""
    given = Image.open(io.BytesIO(drawing())).convert("RGB")
    assert (await stored(easel, guide.picture)).tobytes() == given.tobytes()
    form = await easel.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    assert (form.values["control_as_is"], form.values["source"]) == ("yes", f"{job.id}:depth")
    info = await easel.press(f"v1:info:{job.id}")
    assert "Control: depth as they were given, by depths, weight 1" in info.body


async def test_a_model_makes_depth_where_there_is_one(opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    class Maker:
        closed = False

        async def made(self, picture: bytes) -> bytes | None:
            return controls.as_given(picture)

        async def close(self) -> None:
            self.closed = True

    maker = Maker()

    def engine(blobs: Any) -> FakeEngine:
        return FakeEngine(blobs.read, models=(GUIDED,))

    monkeypatch.setattr(app, "control_models", lambda _settings: {"depth": maker})
    async with opened(make_engine=engine) as house:
        job = await house.painted("a door --control depth --count 1", source=drawing())
        assert job.request.control and job.request.control.of
        nothing = await told(house, "a door --control depth", source=drawing((40, 1)))
        assert nothing.notice == "There is no depth in that image to go by. Give another one."
    assert maker.closed


@pytest.mark.parametrize(
    ("text", "notice"),
    [
        ("a door --control edges", "A control needs an image. Add one with --source."),
        ("a door --control-weight 0.5", "Say what the image controls, for example --control edges."),
        ("a door --control smell", "Control can be edges, depth, pose, scribble; “smell” is none of them."),
        (
            "a door --control pose",
            "guided knows the controls edges, depth, scribble; you asked for “pose”.",
        ),
        (
            "a door --control edges --model memory",
            "memory takes no control picture here. Leave the control out.",
        ),
        (
            "a door --control edges --region middle",
            "A control guides a new image. Leave --region out.",
        ),
        (
            "a door --control edges --strength 0.5 --model words",
            "words takes a control without a strength. Leave --strength out.",
        ),
        (
            "a door --control depth",
            "No model here estimates depth. Give a depth picture, with --control-as-is.",
        ),
    ],
)
async def test_what_cannot_be_controlled_is_said(text: str, notice: str, easel: House) -> None:
    given = {} if notice.startswith(("A control needs", "Say")) else {"source": drawing()}

    assert (await told(easel, text, **given)).notice == notice


@pytest.mark.parametrize(
    ("picture", "kind", "notice"),
    [
        (drawing((1, 1)), "edges", "There are no edges in that image to go by. Give another one."),
        (drawing((1, 1)), "scribble", "There are no lines in that image to go by. Give another one."),
        (
            drawing((1, 1)),
            "edges --control-as-is",
            "That control picture is of one colour. Give another one.",
        ),
        (drawing(mode="CMYK", kind="JPEG"), "edges", ""),
        (drawing(mode="I;16"), "edges", ""),
        (drawing(mode="RGBA"), "scribble", ""),
        (drawing((500, 30)), "edges", ""),
    ],
    ids=range(7),
)
async def test_pictures_of_every_kind_are_read_or_refused(
    picture: bytes, kind: str, notice: str, easel: House
) -> None:
    if notice:
        assert (await told(easel, f"a door --control {kind}", source=picture)).notice == notice
        assert await easel.store.jobs(ADA.tenant, user=ADA.id, limit=5) == []
    else:
        job = await easel.painted(f"a door --control {kind} --count 1", source=picture)
        assert job.state is State.RENDERED and job.request.control


async def test_references_guide_by_an_ip_adapter_and_nothing_is_put_into_words(easel: House) -> None:
    first = await easel.painted("a blue circle --count 1")
    job = await easel.painted(f"a fox --sref {first.id}:1 --cref {first.id}:1 --iw 0.4 --count 1")

    (picture,) = (each.blob for each in first.singles)
    assert job.request.guides == (
        Guide(kind="style", picture=picture, by="plus", weight=0.4),
        Guide(kind="subject", picture=picture, by="plus", weight=0.4),
    )
    assert (job.prompt, job.note, job.request.prompt) == ("a fox", "", "a fox")
    info = await easel.press(f"v1:info:{job.id}")
    assert "References by plus, weight 0.4" in info.body
    form = await easel.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    assert (form.values["sref"], form.values["cref"]) == (f"{job.id}:style", f"{job.id}:subject")
    values = dict(form.values)
    assert (await easel.ask(values.pop("prompt"), **values)).request == job.request

    usual = await easel.painted(f"a fox --sref {first.id}:1 --cref {first.id}:1 --count 1")
    assert [each.weight for each in usual.request.guides] == [1.0, 0.6]
    without = await easel.painted(f"a fox --sref {first.id}:1 --model memory --count 1")
    assert without.request.guides == () and without.note.startswith("memory takes no style reference")


async def test_a_control_and_references_go_together(easel: House) -> None:
    first = await easel.painted("a blue circle --count 1")
    job = await easel.painted(f"a door --control edges --sref {first.id}:1 --count 1", source=drawing())

    assert [each.kind for each in job.request.guides] == ["edges", "style"]
    form = await easel.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    assert (form.values["source"], form.values["sref"]) == (f"{job.id}:edges", f"{job.id}:style")


async def test_other_words_on_a_controlled_image_paint_nothing_and_keep_its_control(easel: House) -> None:
    job = await easel.painted('a door --control edges --text "SALE" --count 4', source=drawing())
    for words in ("SOLD", "GONE"):
        form = await easel.press(f"v1:edit:{job.id}")
        assert isinstance(form, Form)
        values = {**form.values, "text": words}
        origin = easel.origin()
        receipt = await easel.easel.router.handle("imagine", values, origin, parent=job.id)
        assert isinstance(receipt, Receipt)
        assert isinstance(receipt.job.request.task, Letter) and receipt.job.request.control
        job = await easel.delivered(receipt.job.id)


async def test_a_change_of_model_drops_what_it_has_no_weights_for_and_nothing_else(easel: House) -> None:
    first = await easel.painted("a blue circle --count 1")
    job = await easel.painted(
        f"a door --control edges --sref {first.id}:1,{first.id}:1 --count 1", source=drawing()
    )
    form = await easel.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    again = await easel.ask("a fox", sref=form.values["sref"])
    assert [each.picture for each in again.request.guides] == [first.singles[0].blob] * len(
        again.request.guides
    )
    assert (await told(easel, f"a fox --source {job.id}:pose")).code == "no_picture"


async def test_an_old_job_loses_a_control_that_is_gone(easel: House) -> None:
    job = await easel.painted("a door --model words --control edges --count 1", source=drawing())
    await easel.easel.router.handle("admin licence", {"use": "commercial"}, easel.origin(BOSS))

    again = await easel.press(f"v1:again:{job.id}")

    assert isinstance(again, Receipt)
    assert again.job.request.guides == ()
    assert "An image that guided it cannot be used here, so it was left out." in again.job.note
    refused = await told(easel, "a door --model words --control edges", source=drawing())
    assert refused.notice == "words takes no control picture here. Leave the control out."


async def test_what_is_made_of_a_private_image_is_private_and_nobody_else_may_use_it(easel: House) -> None:
    mine = await easel.painted("a circle --private --count 1")
    job = await easel.ask(f"a door --control edges --source {mine.id}:1 --count 1")
    assert job.origin.private
    assert (await told(easel, f"a door --control edges --source {mine.id}:1", BEN)).code in (
        "unknown",
        "forbidden",
        "not_found",
    )


async def test_a_picture_that_goes_between_press_and_paint_fails_the_job_alone(opened: Opens) -> None:
    def engine(blobs: Any) -> FakeEngine:
        return FakeEngine(blobs.read, models=(GUIDED,), step_seconds=0.05)

    async with opened(make_engine=engine) as house:
        first = await house.ask("a slow one --count 4 --steps 20")
        waits = await house.ask("a door --control edges --count 1", source=drawing())
        guide = waits.request.control
        assert guide
        for file in house.settings.data_dir.rglob(f"*{guide.picture.rpartition('/')[2]}"):
            file.unlink()
        failed = await house.ended(waits.id)
        assert failed.state is State.FAILED and failed.device_seconds == 0
        assert (await house.ended(first.id)).state is State.RENDERED


async def test_credentials_name_what_guided_an_image(easel: House) -> None:
    job = await easel.painted("a door --control edges --count 1", source=drawing())
    png = await easel.blobs.get(job.singles[0].blob)
    told = json.loads(c2pa.Reader("image/png", io.BytesIO(png)).json())
    (ingredient,) = told["manifests"][told["active_manifest"]]["ingredients"]
    claim = signing.read(png, "image/png", signing.ready(easel.settings.keys_dir, "", ""))

    assert ingredient["relationship"] == "inputTo"
    assert claim and claim.whole and claim.facts and claim.facts.made == "created"


async def test_charges_hold_and_pictures_are_swept_with_their_job(easel: House) -> None:
    plain = await easel.painted("a door --count 1 --size 64x64 --steps 4")
    job = await easel.painted("a door --control edges --count 1 --size 64x64 --steps 4", source=drawing())
    assert job.device_seconds == pytest.approx(plain.device_seconds)
    guide = job.request.control
    assert guide
    assert {guide.picture, guide.of} <= await easel.store.blobs()
    await easel.press(f"v1:delete:{job.id}")
    assert not {guide.picture, guide.of} & await easel.store.blobs()
