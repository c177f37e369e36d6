"""No offer is refused when it is pressed: of any card, refusal or form, for anybody, after any change."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot import actions, app
from bot.accounts.tiers import Tiers
from bot.adapters.base import Receipt
from bot.errors import Refusal, StoreError
from bot.images.blobs import DirectoryBlobs
from bot.messages import job_cards
from bot.messages.types import Button, Card, Form
from bot.models import Allowance, Job, Member, Tier
from bot.moderation import NullClassifier
from bot.prompts import styles
from bot.store import Store
from bot.surfaces import Settings
from engine.types import ModelInfo, TaskKind
from engine.workers.fake import MEMORY, FakeEngine
from tests.scenario.conftest import House, RecordingAdapter

STYLES = ("photo", "pixel-art", "3d", "oil-painting")
NAMES = ("memory", "second", "third")
TASKS: tuple[frozenset[TaskKind], ...] = (
    frozenset({"text_to_image", "image_to_image"}),
    frozenset({"text_to_image"}),
)
CHANGES_ONLY: frozenset[TaskKind] = frozenset({"image_to_image"})
PHASES = (Phase.explicit, Phase.generate)  # a world is too slow to be shrunk
NEVER = 3600.0  # seconds of a step, so that what is accepted waits until it is cancelled
DERIVING = ("upscale", "vary_subtle", "vary_strong", "again", "try", "edit")


@st.composite
def models(draw: st.DrawFn, tasks: Sequence[frozenset[TaskKind]] = TASKS) -> tuple[ModelInfo, ...]:
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        multiple = draw(st.sampled_from((8, 16, 64)))
        low, high = draw(st.sampled_from(((64, 128), (64, 256), (128, 256))))
        most = draw(st.integers(1, 150))
        found.append(
            replace(
                MEMORY,
                name=name,
                multiple=multiple,
                min_side=low,
                max_side=high,
                width=low,
                height=draw(st.sampled_from((low, high))),
                max_steps=most,
                steps=draw(st.integers(1, most)),
                tasks=draw(st.sampled_from(tasks)),
                negative_prompt=draw(st.booleans()),
            )
        )
    return tuple(found)


@st.composite
def tiers(draw: st.DrawFn, names: tuple[str, ...]) -> Tier:
    seconds = draw(st.sampled_from((None, None, 0.0, 0.4, 3.0, 40.0)))
    own = draw(st.lists(st.sampled_from(names), unique=True))
    return Tier(
        name="everyone",
        title="Everyone",
        allowances=() if seconds is None else (Allowance(seconds=seconds, per="month"),),
        waiting=1000,
        max_pixels=draw(st.sampled_from((128 * 128, 128 * 200, 256 * 256))),
        max_steps=draw(st.integers(1, 150)),
        max_count=draw(st.integers(1, 16)),
        models=tuple(own),
        priorities=draw(st.sampled_from((("fast", "relax"), ("fast",), ("relax",)))),
    )


FLAGS = st.fixed_dictionaries(
    {},
    optional={
        "count": st.sampled_from((-1, 0, 1, 3, 16, 17, 10**30)),
        "steps": st.sampled_from((-5, 0, 1, 7, 150, 151, 500, 10**400)),
        "guidance": st.sampled_from((-1, 0, 5, 31, "inf")),
        "seed": st.sampled_from((-1, 7, 2**32)),
        "size": st.sampled_from(("0", "64x1000", "100x100", "256", "128x192", "99999x1")),
        "aspect": st.sampled_from(("16:9", "4:1", "1:9", "widde")),
        "style": st.sampled_from((*STYLES, "oyl painting", "none")),
        "model": st.sampled_from((*NAMES, "memry", "gone")),
        "negative": st.sampled_from(("text, blur", '"quoted')),
        "strength": st.sampled_from((0.5, 1.0, 7)),
        "private": st.booleans(),
        "relax": st.booleans(),
    },
)
WORDS = st.sampled_from(
    (
        "a fox",
        "a fox as pixel art, wide",
        "16 pictures of foxes",
        "a sign: “--no”",
        "fox --aspct 1:1 --stps 900",
    )
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    now = draw(models((*TASKS, CHANGES_ONLY)))
    names = tuple(each.name for each in now)
    return {
        "before": draw(models()),
        "now": now,
        "tier": draw(tiers(names)),
        "refused": draw(st.lists(st.sampled_from(STYLES), unique=True)),
        "gone": draw(st.sampled_from(("", *STYLES))),
        "allowed": draw(st.sampled_from(("", *NAMES))),
        "language": draw(st.sampled_from(("en", "de"))),
        "asked": draw(st.lists(st.tuples(WORDS, FLAGS), min_size=3, max_size=5)),
        "mine": draw(
            st.fixed_dictionaries({}, optional={"style": st.sampled_from(STYLES), "count": st.just(3)})
        ),
        "dice": draw(st.randoms(use_true_random=False)),
    }


@dataclass
class World:
    """One studio before a change and after it, in a tenant of its own."""

    house: House
    tenant: str
    dice: random.Random
    pressed: int = 0
    refused: list[str] = field(default_factory=list)

    def member(self, name: str, **more: Any) -> Member:
        return Member(tenant=self.tenant, id=f"{self.tenant}:{name}", name=name.capitalize(), **more)

    async def take(self, answer: Any) -> None:
        """Whatever was accepted is cancelled, so that the next has as much quota."""
        self.pressed += 1
        if isinstance(answer, Receipt):
            await self.house.press(f"v1:cancel:{answer.job.id}", answer.job.origin.member)

    async def press(self, button: Button, member: Member) -> Any:
        """A press, that may meet nothing but the end of a quota, or of twenty descriptions in a minute."""
        try:
            answer = await self.house.press(button.id, member)
        except Refusal as refusal:
            assert refusal.code == "quota" or "describe" in button.id, (button, refusal.notice)
            await self.follow(refusal, member)
            return None
        await self.take(answer)
        return answer

    async def follow(self, refusal: Refusal, member: Member) -> None:
        """Press what a refusal offers: nothing of it may be refused, for whatever reason."""
        self.refused.append(refusal.code)
        for offer in refusal.offers:
            shown = job_cards.refused(replace_offers(refusal, offer))
            ids = [each.id for row in shown.rows for each in row]
            try:
                if ids:
                    await self.take(await self.house.press(ids[0], member))
                else:
                    await self.send({"prompt": shown.body[-1]}, member)
            except Refusal as again:
                raise AssertionError((refusal.notice, offer, again.notice)) from again

    async def send(self, values: Mapping[str, Any], member: Member, parent: str = "") -> None:
        origin = self.house.origin(member)
        await self.take(await self.house.easel.router.handle("imagine", values, origin, parent=parent))

    async def ask(self, words: str, options: Mapping[str, Any], member: Member) -> None:
        """Ask for anything at all, and press what is offered instead."""
        try:
            await self.send({"prompt": words, **options}, member)
        except Refusal as refusal:
            await self.follow(refusal, member)

    async def show(self, job: Job, member: Member) -> None:
        """Press all that the job's card offers somebody, and what that offers in turn."""
        shown = await self.house.press(f"v1:show:{job.id}", member)
        assert isinstance(shown, Card)
        for each in buttons(shown):
            if each.id.startswith(("v1:delete", "v1:report")):
                continue
            answer = await self.press(each, member)
            if isinstance(answer, Form):
                await self.submit(answer, member)
            elif isinstance(answer, Card) and each.id.startswith("v1:pick"):
                for inner in buttons(answer):
                    await self.press(inner, member)
            elif isinstance(answer, Card) and each.id.startswith("v1:info"):
                await self.copy(answer, member)

    async def submit(self, form: Form, member: Member) -> None:
        """Send a form as it is; one that asks what to change has no words yet."""
        try:
            await self.send({"prompt": "make it red", **form.values}, member, form.parent)
        except Refusal as refusal:
            assert refusal.code == "quota", (form, refusal.notice)
            await self.follow(refusal, member)

    async def copy(self, info: Card, member: Member) -> None:
        """Type what an info says would paint it again."""
        for line in info.body:
            _, found, text = line.partition(": ") if ": " in line else ("", "", "")
            if found and line.startswith(("To generate it again", "Um es noch einmal zu erzeugen")):
                try:
                    await self.send({"prompt": text}, member)
                except Refusal as refusal:
                    assert refusal.code == "quota", (line, refusal.notice)
                    await self.follow(refusal, member)


def replace_offers(refusal: Refusal, *kept: Any) -> Refusal:
    return Refusal(refusal.notice, code=refusal.code, offers=kept)


def buttons(card: Card) -> Iterator[Button]:
    return itertools.chain(*card.rows, card.more)


@asynccontextmanager
async def running(
    store: Store, path: Path, models: tuple[ModelInfo, ...], tier: Tier, *, step_seconds: float
) -> AsyncIterator[House]:
    blobs = DirectoryBlobs(path / "pictures")
    engine = FakeEngine(blobs.read, models=models, step_seconds=step_seconds)
    config = Settings(data_dir=path, model=("memory",))
    tiers = Tiers((tier,))
    easel = app.build(
        settings=config, store=store, engine=engine, blobs=blobs, tiers=tiers, classifier=NullClassifier()
    )
    surface = RecordingAdapter()
    easel.adapters[surface.name] = surface
    await easel.lifecycle.start()
    try:
        yield House(easel, store, engine, blobs, surface, config)
    finally:
        await easel.lifecycle.close()


ANYTHING_GOES = Tier(name="everyone", title="Everyone", waiting=1000)


async def painted(house: House, world: World, asked: list[Any]) -> list[Job]:
    """Jobs of every kind, as they were made before the change."""
    ada, found = world.member("ada"), []
    for words, flags in asked:
        kept = {
            name: flags[name] for name in ("size", "aspect", "style", "private", "negative") if name in flags
        }
        try:
            job = await house.ask(f"{words} --count {world.dice.choice((1, 2, 5))}", ada, **kept)
        except Refusal:
            continue
        found.append(job)
    for first in list(found):
        await house.surface.until(first.id, "done", "upscaled", "failed")
        for name in ("upscale", "vary_subtle"):
            try:
                answer = await house.press(f"v1:{name}:{first.id}:0", ada)
            except Refusal:
                continue
            found.append(answer.job)
            await house.surface.until(answer.job.id, "done", "upscaled")
    return [await house.row(job.id) for job in found]


async def play(
    store: Store, path: Path, tenant: str, world: dict[str, Any], patch: pytest.MonkeyPatch
) -> None:
    async with running(store, path, world["before"], ANYTHING_GOES, step_seconds=0) as house:
        jobs = await painted(house, World(house, tenant, world["dice"]), world["asked"])
    with patch.context() as changed:
        if world["gone"]:
            known = styles.load()
            left = {name: style for name, style in known.styles.items() if name != world["gone"]}
            words = {word: style for word, style in known.by_words.items() if style.name != world["gone"]}
            changed.setattr(styles, "load", lambda: replace(known, styles=left, by_words=words))
        async with running(store, path, world["now"], world["tier"], step_seconds=NEVER) as house:
            await press_everything(World(house, tenant, world["dice"]), jobs, world)


async def press_everything(world: World, jobs: list[Job], asked: dict[str, Any]) -> None:
    boss, ada, ben = world.member("boss", admin=True), world.member("ada"), world.member("ben")
    guest, dan = world.member("cat", guest=True), world.member("dan")
    house = world.house
    await rule(world, asked, boss, dan)
    for member in (ada, ben, guest, boss):
        for job in jobs:
            if member == ada or not job.origin.private:
                await world.show(job, member)
        await settled(world, member, asked["mine"])
    for job in jobs:
        drawn = house.surface.messages.get(job.id, [await house.easel.cards.own(job)])[-1]
        for each in buttons(drawn):
            if each.id.split(":")[1] in DERIVING:
                answer = await world.press(each, ada)
                if isinstance(answer, Form):
                    await world.submit(answer, ada)
            with pytest.raises(Refusal) as refused:
                await house.press(each.id, dan)
            assert refused.value.code in ("blocked", "unknown")
    for words, flags in asked["asked"]:
        await world.ask(words, flags, ada)
    assert world.pressed or all(each.tasks == CHANGES_ONLY for each in asked["now"])


async def rule(world: World, asked: dict[str, Any], boss: Member, dan: Member) -> None:
    """What administrators have set."""
    easel, origin = world.house.easel, lambda: world.house.origin(boss)
    known = styles.load().styles
    for style in asked["refused"]:
        if style in known:
            await easel.router.handle("admin set styles", {"style": style, "rule": "refuse"}, origin())
    if asked["allowed"] in [each.name for each in asked["now"]] and not asked["tier"].models:
        await easel.router.handle("admin set models", {"model": asked["allowed"], "rule": "allow"}, origin())
    await easel.router.handle("admin person block", {"person": dan.id}, origin())
    await easel.router.handle("admin set language", {"language": asked["language"]}, origin())


async def settled(world: World, member: Member, mine: Mapping[str, Any]) -> None:
    """Defaults of one's own, whose form is sent as it is."""
    store, easel = world.house.store, world.house.easel
    before = await store.preferences(member.id)
    await store.save_preferences(member.id, replace(before, model="gone", size="99x99", **mine))
    form = await easel.accounts.form(world.house.origin(member))
    await easel.router.handle("settings", form.values, world.house.origin(member))
    try:
        await world.send({"prompt": "a wolf"}, member)
    except Refusal as refusal:
        only_changes = any(each.tasks == CHANGES_ONLY for each in world.house.engine.models())
        assert refusal.code == "quota" or (refusal.code == "source" and only_changes), refusal.notice
        await world.follow(refusal, member)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.soak)])
def test_no_offer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    tenants = itertools.count()
    monkeypatch.setattr("bot.lifecycle.LAST_WORDS", 0.05)
    with asyncio.Runner() as runner:
        store = runner.run(Store.open(f"sqlite:///{tmp_path}/easel.db"))

        @settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            phases=PHASES,
        )
        @given(world=worlds())
        def trial(world: dict[str, Any]) -> None:
            runner.run(play(store, tmp_path, f"test:{next(tenants)}", world, monkeypatch))

        try:
            trial()
        finally:
            runner.run(store.close())


# ---- what the world is before and after


def memory(name: str, **more: Any) -> ModelInfo:
    return replace(MEMORY, name=name, width=64, height=64, steps=4, **more)


KLEIN = memory("klein", tasks=TASKS[1], negative_prompt=False)


@asynccontextmanager
async def changed(
    path: Path, before: tuple[ModelInfo, ...], now: tuple[ModelInfo, ...], text: str, tier: Tier | None = None
) -> AsyncIterator[tuple[House, Job]]:
    """A studio whose operator has changed MODEL since a job was painted."""
    store = await Store.open(f"sqlite:///{path}/easel.db")
    async with running(store, path, before, ANYTHING_GOES, step_seconds=0) as house:
        job = await house.painted(text)
    async with running(store, path, now, tier or ANYTHING_GOES, step_seconds=0) as house:
        yield house, job
    await store.close()


def labels(card: Card) -> list[str]:
    return [each.label for each in buttons(card)]


async def test_a_button_of_a_model_that_is_gone_paints_with_the_present_one(tmp_path: Path) -> None:
    old, new = memory("z-image"), memory("sdxl", max_side=128, multiple=64, max_steps=9)
    async with changed(tmp_path, (old,), (new,), "a fox --size 512x256 --steps 50 --count 2") as (house, job):
        for button in (f"v1:again:{job.id}", f"v1:vary_strong:{job.id}:1"):
            answer = await house.press(button)
            request = answer.job.request
            assert (request.model, request.count, request.steps) == ("sdxl", 2, 4)
            assert (request.width, request.height) == (128, 128)
            card = await house.surface.until(answer.job.id, "done")
            assert card.body == (
                "z-image is no longer here, so sdxl was used. The size is fitted: 128 × 128.",
            )
            assert (await house.row(answer.job.id)).note == card.body[0]


async def test_enlarging_needs_no_painting_model(tmp_path: Path) -> None:
    nobody = Tier(name="everyone", title="Everyone", models=("easel",), max_pixels=64 * 64)
    now = (KLEIN, memory("easel"))
    async with changed(tmp_path, (memory("z-image"),), now, "a fox --size 128x256", nobody) as (house, job):
        answer = await house.press(f"v1:upscale:{job.id}:0")
        card = await house.surface.until(answer.job.id, "upscaled")
        assert (answer.job.request.width, answer.job.request.height) == (512, 1024)
        assert "Model" not in repr(await house.press(f"v1:info:{answer.job.id}")) and not card.body


async def test_the_edit_form_of_a_model_that_is_gone_is_taken_as_it_is(tmp_path: Path) -> None:
    async with changed(tmp_path, (memory("z-image"),), (KLEIN,), "a fox --no trees --count 2") as (
        house,
        job,
    ):
        form = await house.press(f"v1:edit:{job.id}")
        answer = await house.easel.router.handle("imagine", form.values, house.origin(), parent=form.parent)
        assert isinstance(answer, Receipt)
        card = await house.surface.until(answer.job.id, "done")
        assert card.body == ("z-image is no longer here, so klein was used.",)


async def test_a_card_has_no_variations_where_no_model_makes_any(tmp_path: Path) -> None:
    async with changed(tmp_path, (KLEIN,), (KLEIN,), "a fox --count 2") as (house, job):
        card = house.easel.cards.card(job, await house.easel.cards.may(job, job.origin.member))
        files = ("Download", "Download as …", "Alt text")
        own = ["Image 1 …", "Image 2 …", "Sizes", "Info", "Favourite", *files, "Delete", "Report"]
        assert labels(card) == ["U1", "U2", "Again", "Edit", *own]
        again = await house.press(f"v1:again:{job.id}")
        drawn = await house.surface.until(again.job.id, "done")
        assert labels(drawn) == labels(card)
        member = job.origin.member
        known = {each.name: each for each in await house.easel.vocabulary.known(member)}
        assert "vary" not in known and "vary" not in dict(
            await house.easel.vocabulary.complete("commands", "", member)
        )
        said = {each.name for each in known["imagine"].options}
        assert not said & {"source", "strength", "negative"}
        helped = repr(await house.easel.router.handle("help", {"command": "imagine"}, house.origin()))
        assert "--source" not in helped and "--steps" in helped
        with pytest.raises(Refusal, match="klein takes no image prompt"):
            await house.easel.vocabulary.check_source(member)


async def test_a_model_that_only_changes_pictures_is_offered_for_that_alone(tmp_path: Path) -> None:
    before, now = (memory("easel"),), (memory("easel", tasks=CHANGES_ONLY),)
    async with changed(tmp_path, before, now, "a fox") as (house, job):
        card = house.easel.cards.card(job, await house.easel.cards.may(job, job.origin.member))
        assert "Again" not in labels(card) and "Edit" not in labels(card)
        with pytest.raises(Refusal, match="easel only changes images"):
            await house.ask("a fox")
        varied = await house.press(f"v1:vary_strong:{job.id}:0")
        drawn = await house.surface.until(varied.job.id, "done")
        assert "Again" in labels(drawn) and "Edit" in labels(drawn)
        form = await house.press(f"v1:edit:{varied.job.id}")
        answer = await house.easel.router.handle("imagine", form.values, house.origin(), parent=form.parent)
        assert (await house.surface.until(answer.job.id, "done")).pictures
        again = await house.press(f"v1:again:{varied.job.id}")
        assert (await house.surface.until(again.job.id, "done")).pictures


async def test_one_range_is_said_everywhere(tmp_path: Path) -> None:
    few = Tier(name="everyone", title="Everyone", max_count=4, max_steps=80)
    now = (memory("easel", max_steps=50),)
    async with changed(tmp_path, now, now, "a fox", few) as (house, _):
        (imagine,) = [each for each in house.easel.vocabulary.all if each.name == "imagine"]
        for option, most in (("steps", 50), ("count", 4)):
            found = imagine.option(option)
            assert found is not None and (found.minimum, found.maximum) == (1, most)
        helped = repr(await house.easel.router.handle("help", {"command": "imagine"}, house.origin()))
        assert "1 to 50." in helped and "1 to 4." in helped
        with pytest.raises(Refusal) as refused:
            await house.ask("a fox --steps 500 --count 99 --guidance 31 --size 1")
        assert refused.value.notice == (
            "Guidance can be 0 to 30; you asked for 31. "
            "That is 99 images; you may have 4 at once. Try --count 4. "
            "easel takes 1 to 50 steps; you asked for 500. Try --steps 50. "
            "easel takes sides from 64 to 2048 pixels, in steps of 8; you asked for 1 × 1. Try --size 64x64."
        )
        (offer,) = refused.value.offers
        assert offer.text == "a fox --size 64x64 --count 4 --steps 50 --guidance 30"
        (button,) = buttons(job_cards.refused(refused.value))
        assert (await house.press(button.id)).job.request.steps == 50


async def test_a_place_that_allows_only_models_that_are_gone_allows_those_there_are(tmp_path: Path) -> None:
    both, boss = (memory("z-image"), KLEIN), Member(tenant="test:house", id="test:boss", name="B", admin=True)
    async with changed(tmp_path, both, both, "a fox") as (house, _):
        options = {"model": "z-image", "rule": "allow"}
        await house.easel.router.handle("admin set models", options, house.origin(boss))
        with pytest.raises(Refusal, match="klein is not for your tier"):
            await house.ask("a fox --model klein")
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    async with running(store, tmp_path, (KLEIN,), ANYTHING_GOES, step_seconds=0) as house:
        assert (await house.ask("a fox")).request.model == "klein"
    await store.close()


async def test_what_is_completed_is_taken(tmp_path: Path) -> None:
    now = (memory("easel"),)
    async with changed(tmp_path, now, now, "a fox") as (house, job):
        member = job.origin.member
        assert dict(await house.easel.vocabulary.complete("pictures", "", member)) == {job.id: "a fox"}
        assert await house.easel.vocabulary.complete("unfinished", "", member) == []


async def test_the_buttons_that_end_a_job_are_shown_to_those_who_may(tmp_path: Path) -> None:
    now = (memory("easel"),)
    ben = Member(tenant="test:house", id="test:ben", name="Ben")
    async with changed(tmp_path, now, now, "a fox") as (house, job):
        assert "Delete" in labels(await house.press(f"v1:show:{job.id}"))
        assert "Delete" not in labels(await house.press(f"v1:show:{job.id}", ben))


# ---- what is too long for a button


LONG = "ein Füchslein im Schnee " * 20
FOUR = Tier(name="everyone", title="Everyone", waiting=1000, max_count=4)


async def long_offer(house: House) -> tuple[Refusal, list[Button]]:
    with pytest.raises(Refusal) as refused:
        await house.ask(f"{LONG}--count 16")
    return refused.value, list(buttons(job_cards.refused(refused.value)))


async def test_an_offer_that_fits_no_button_is_kept_and_pressed(tmp_path: Path) -> None:
    async with changed(tmp_path, (memory("easel"),), (memory("easel"),), "a fox", FOUR) as (house, _):
        _, (offer,) = await long_offer(house)
        assert offer.id.startswith("v1:offer:") and actions.fits(offer.id)
        _, (again,) = await long_offer(house)
        assert again.id == offer.id, "the same words are kept once"
        job = (await house.press(offer.id)).job
        assert (job.prompt, job.request.count) == (LONG.strip(), 4)


async def test_a_short_offer_is_in_its_button(tmp_path: Path) -> None:
    async with changed(tmp_path, (memory("easel"),), (memory("easel"),), "a fox") as (house, _):
        with pytest.raises(Refusal) as refused:
            await house.ask("a fox --count 99")
        (offer,) = buttons(job_cards.refused(refused.value))
        assert offer.id.startswith("v1:try:a fox")


async def test_an_offer_that_cannot_be_kept_is_a_line_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with changed(tmp_path, (memory("easel"),), (memory("easel"),), "a fox", FOUR) as (house, _):
        monkeypatch.setattr(house.store, "keep_offer", _full)
        refusal, found = await long_offer(house)
        assert found == [] and refusal.offers[0].text in job_cards.refused(refusal).body


async def _full(member: str, text: str) -> str:
    raise StoreError("the disk is full")


async def test_buttons_of_messages_from_before_offers_were_kept_still_work(tmp_path: Path) -> None:
    async with changed(tmp_path, (memory("easel"),), (memory("easel"),), "a fox") as (house, _):
        old = f"v1:try:{'a fox in deep snow, ' * 4}--count 2"
        assert 64 < len(old) <= 100
        assert (await house.press(old)).job.request.count == 2
