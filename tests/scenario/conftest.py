"""The real studio on a real database, with the engine that paints in memory and a surface that records."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot import app
from bot.accounts.tiers import Tiers
from bot.adapters.base import MessageRef, Receipt
from bot.describing.judging import Judging
from bot.easel import Easel
from bot.errors import DeliveryError, Refusal
from bot.i18n import speech
from bot.images.blobs import BlobStore, open_blobs
from bot.messages.types import Button, Card, Form
from bot.models import Job, Member, Origin, State, Tier, new_id
from bot.moderation import ImageClassifier, NullClassifier
from bot.store import Store
from bot.surfaces import Settings
from engine.types import Engine
from engine.workers.fake import MEMORY, FakeEngine, Fault
from tests import messages
from tests.databases import ended, found
from tests.examples import unhurried

ADA = Member(tenant="test:house", id="test:ada", name="Ada")
BEN = Member(tenant="test:house", id="test:ben", name="Ben")
BOSS = Member(tenant="test:house", id="test:boss", name="Boss", admin=True)
EVE = Member(tenant="test:elsewhere", id="test:eve", name="Eve", admin=True)

SMALL = replace(MEMORY, width=64, height=64, steps=4)

PATIENCE = 120.0  # seconds; only a broken studio needs them


@pytest.fixture(autouse=True)
def spoken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the studio says in a scenario, it could have said in every language."""
    heard: list[str] = []
    translated = speech.translated

    def overheard(what: Any, language: str) -> Any:
        heard.extend(_texts(what))
        return translated(what, language)

    monkeypatch.setattr(speech, "translated", overheard)
    yield
    for language in messages.FOREIGN:
        missing = {each for text in heard for each in messages.untranslated(text, language)}
        assert missing == set(), f"not in the catalogue of {language!r}"


def _texts(what: Card | Form | Refusal) -> Iterator[str]:
    """All that is said and is no prompt."""
    match what:
        case Card():
            yield from (*what.facts, *what.body)
            yield from (what.bar.label,) if what.bar else ()
            buttons = (*(each for row in what.rows for each in row), *what.more)
            yield from (text for each in buttons for text in (each.label, each.name))
        case Form():
            yield what.title
        case Refusal():
            yield from (what.notice, *(offer.label for offer in what.offers))


class RecordingAdapter:
    """A surface whose messages are kept: every card that each message showed, by job."""

    name = "test"

    def __init__(self, edit_interval: float = 0.0) -> None:
        self.edit_interval = edit_interval
        self.messages: dict[str, list[Card]] = {}
        self.posts = 0
        self.troubles: list[DeliveryError] = []  # raised by the next sends, one each
        self.boards: dict[
            int, tuple[str, Card]
        ] = {}  # what stands in channels without a job: where, and what
        self.restricted = False  # whether every channel is age-restricted
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def post(self, job: Job, card: Card) -> MessageRef:
        await self._record(job.id, card, first=job.id not in self.messages)
        return {"message": job.id}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        assert ref == {"message": job.id}
        await self._record(job.id, card, first=False)
        return ref

    async def adult(self, job: Job) -> bool:
        return self.restricted

    async def display(
        self, tenant: str, channel: str, card: Card, ref: MessageRef | None, key: str
    ) -> MessageRef:
        if self.troubles:
            raise self.troubles.pop(0)
        number = int(ref["board"]) if ref else len(self.boards)
        self.boards[number] = (f"{tenant}/{channel}", card)
        return {"board": number}

    async def _record(self, job: str, card: Card, *, first: bool) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.posts += first
        self.messages.setdefault(job, []).append(card)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, job: str, *kinds: str) -> Card:
        """The job's newest card once it is of one of the kinds."""

        def there() -> bool:
            return job in self.messages and self.messages[job][-1].kind in kinds

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(there), PATIENCE)
            except TimeoutError:
                seen = [card.kind for card in self.messages.get(job, [])]
                raise AssertionError(f"waited for {kinds}, saw {seen}") from None
        return self.messages[job][-1]

    def kinds(self, job: str) -> list[str]:
        """The kinds that the message went through."""
        return [kind for kind, _ in itertools.groupby(card.kind for card in self.messages[job])]


@dataclass(repr=False)  # asyncio writes down what a fixture returns, four times a test
class House:
    """One running studio and what hangs on it."""

    easel: Easel
    store: Store
    engine: Engine
    blobs: BlobStore
    surface: RecordingAdapter
    settings: Settings

    def origin(
        self,
        member: Member = ADA,
        *,
        channel: str = "lobby",
        event: str = "",
        private: bool = False,
        adult: bool = False,
    ) -> Origin:
        """Somebody who asks, in the lobby or in a closed channel."""
        event = event or new_id()  # of no other house on the same store
        return Origin(
            surface="test",
            member=member,
            channel=channel,
            event=event,
            private=private,
            adult=adult,
            seen_in=() if channel == "lobby" else (channel,),
        )

    async def ask(self, text: str, /, member: Member = ADA, **options: object) -> Job:
        """/imagine that is accepted."""
        answer = await self.easel.router.handle("imagine", {"prompt": text, **options}, self.origin(member))
        assert isinstance(answer, Receipt)
        return answer.job

    async def painted(self, text: str, /, member: Member = ADA, **options: object) -> Job:
        """/imagine, waited for; the job as its row tells it."""
        job = await self.ask(text, member, **options)
        end = await self.surface.until(job.id, "done", "upscaled", "failed")
        assert end.kind != "failed", end.body
        return await self.row(job.id)

    async def press(self, button: str, member: Member = ADA) -> Any:
        return await self.easel.router.press(button, self.origin(member))

    async def row(self, id: str) -> Job:
        job = await self.store.job(id)
        assert job is not None
        return job

    async def delivered(self, id: str) -> Job:
        """The row once its end was written down as shown."""
        ends = (each for each in State if each.ended)
        return await ended(self.store, id, *ends, patience=PATIENCE)

    async def ended(self, id: str) -> Job:
        """The row once the job has ended, shown or not."""

        async def there() -> Job | None:
            job = await self.row(id)
            return job if job.state.ended else None

        return await found(there, PATIENCE)

    async def image(self, blob: str) -> Image.Image:
        picture = Image.open(io.BytesIO(await self.easel.images.get(blob)))
        picture.load()
        return picture


def button(card: Card, label: str) -> str:
    """The id of the button of that label."""
    buttons: list[Button] = [*(each for row in card.rows for each in row), *card.more]
    return next(each.id for each in buttons if each.label == label)


Opens = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """Opens the studio on this test's folder, as often as the test likes: `async with opened(...) as house`.

    With `crash=True` it is left as a killed process leaves it. `tiers` replace those that ship.
    """

    @asynccontextmanager
    async def open_house(
        *,
        crash: bool = False,
        fault: Fault | None = None,
        step_seconds: float = 0.0,
        surface: RecordingAdapter | None = None,
        make_engine: Callable[[BlobStore], Engine] | None = None,
        tiers: Sequence[Tier] = (),
        classifier: ImageClassifier | None = None,
        judging: Judging | None = None,
        **changes: Any,
    ) -> AsyncIterator[House]:
        settings = Settings(data_dir=tmp_path, model=("memory",), **changes)
        store = await Store.open(settings.database_url)
        blobs = open_blobs(settings)
        engine: Engine = FakeEngine(blobs.read, models=(SMALL,), fault=fault, step_seconds=step_seconds)
        if make_engine is not None:
            engine = make_engine(blobs)
        rules = Tiers(tuple(tiers)) if tiers else unhurried()
        easel = app.build(
            settings=settings,
            store=store,
            engine=engine,
            blobs=blobs,
            tiers=rules,
            classifier=classifier or NullClassifier(),
            judging=judging,
        )
        surface = surface or RecordingAdapter()
        easel.adapters[surface.name] = surface
        await easel.lifecycle.start()
        try:
            yield House(easel, store, engine, blobs, surface, settings)
        finally:
            if crash:
                monkeypatch.setattr("bot.lifecycle.LAST_WORDS", 0.1)
                await store.close()  # nothing more can be written
            await easel.lifecycle.close()
            await store.close()

    return open_house


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with opened() as house:
        yield house
