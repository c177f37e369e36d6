"""What all chat surfaces share: commands, presses, forms, menus and plain words, passed to the studio.

A surface subclasses `Interactions` with its own events and pictures. It says how an event is answered, how a
form is opened and how a picture is fetched; everything else is the same on each of them. What a press is
answered with (a form, a card in place of what was pressed, a job) is declared in `bot.actions`.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import structlog

from bot import actions, prompts
from bot.actions import Action, ActionSpec
from bot.adapters.base import Answer, NoAnswer, Receipt
from bot.adapters.sent_pictures import Sent, SentPictures
from bot.easel import Easel
from bot.errors import Refusal
from bot.i18n import _
from bot.images import pictures
from bot.jobs.pictured import MIXED, imagined
from bot.messages import job_cards
from bot.messages.types import Card, Form
from bot.models import Job, Member, Origin
from bot.options import Command
from bot.prompts import talk, turns
from bot.prompts.draft import MOST_IMAGES
from bot.prompts.talk import Spoken
from bot.prompts.turns import Back
from bot.router import PAINTING

log = structlog.stdlib.get_logger(__name__)

E = TypeVar("E")
"""An event of the platform: what somebody did there, with all that is needed to answer it."""
P = TypeVar("P")
"""A picture that somebody sent there and that is not fetched yet."""

Ask = Callable[[Origin], Awaitable[Answer]]
"""Gets the answer, once it is known who asks and where. Raises Refusal."""
Alone = Callable[[Member, Collection[str]], Awaitable[bool]]
"""Tells whether the answer is for a member alone, who is in these places. Raises Refusal."""

DOUBLE_CLICK = 1.5  # seconds in which the same press by the same person is the same press
CALM = 30.0  # seconds in which words that came too fast are answered once
HASTE = ("cooldown", "waiting")
"""Codes of refusals of people who ask faster than they may."""
MOST_TURNED = 500  # threads in which somebody went back and has not gone on yet
FEW_WORDS = 3  # "blend these, please" describes no image
LONGEST_LINK = 400  # characters that are read as the link of a message
MOST_VERIFIED = 4  # pictures of one message
SHOWN_COMMANDS = tuple(each.sent for each in actions.ACTIONS if each.sent)
"""Commands about an image that may be named by a message that shows it."""
PICTURE_COMMANDS = ("edit", "blend")
"""Commands that make a job from pictures."""
JOB_COMMANDS = tuple(each for each in PAINTING if each not in ("imagine", *PICTURE_COMMANDS))
"""Commands that make a job from a job."""

BROKEN = _("Easel could not do that. Try again; an administrator finds the cause in the log.")
_BUTTONS_ONLY = _("Words with an image do nothing in this channel. Use /imagine.")
_NO_PLACES = _("Images cannot be shown in another channel from here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled(Generic[P]):
    """A form that was filled in: options as typed, and a picture that came with it."""

    options: Mapping[str, object]
    command: str = "imagine"
    parent: str = ""
    picture: P | None = None
    mask: P | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Generic[P]):
    """What a message shows: a job of Easel's, and pictures that are attached to it."""

    job: str = ""
    pictures: tuple[P, ...] = ()

    @property
    def picture(self) -> P | None:
        """Return the first picture that somebody sent."""
        return self.pictures[0] if self.pictures else None


class Interactions(ABC, Generic[E, P]):
    """Answers what people do, by way of the studio."""

    title = ""  # the platform's name, to people
    hint = _("Describe an image, for example: a red fox.")  # the answer to a mention without words
    newest = False  # words in a thread are about its newest picture, not about one that they reply to
    at_once = 8  # requests under way at a time, so that acknowledgements do not wait for all of them
    unreachable: tuple[type[Exception], ...] = (OSError,)  # what a failed download raises

    def __init__(self, easel: Easel, max_source_bytes: int) -> None:
        self._easel = easel
        self._max_source_bytes = max_source_bytes
        self._gate = asyncio.Semaphore(self.at_once)
        self._pressed: set[Hashable] = set()
        self._sent = SentPictures[P]()
        self._calmed: set[Hashable] = set()
        self._turned: dict[str, str] = {}  # newest job of a thread → the one that was gone back to

    # ---- what a surface implements

    @abstractmethod
    async def answer(self, event: E, ask: Ask, alone: Alone | None = None, *, replace: bool = False) -> None:
        """Acknowledge, `ask` (by `asked`), and show the resulting card to the person who did it.

        A Receipt needs no answer, since the job's message follows by `ChatAdapter.post`; nor does NoAnswer.
        `alone` is for platforms that must know before they ask whether the answer is private; None: it is.
        `replace`: the card takes the place of the one that was pressed, unless it is a refusal.
        """

    @abstractmethod
    async def open(self, event: E, ask: Ask, picture: P | None = None) -> None:
        """Open the form that `ask` returns (by `question`), or show the refusal.

        `picture` was chosen before; when the form is sent, it is `Filled.picture`.
        """

    @abstractmethod
    def presser(self, event: E) -> Hashable:
        """Return who pressed, and on which message: repeated presses with the same key count once."""

    @abstractmethod
    async def download(self, event: E, picture: P) -> bytes:
        """Return a picture's content, after `check_size`. Raises Refusal, and what is `unreachable`."""

    async def shown_at(self, event: E, place: str) -> Seen[P] | None:
        """Return what the message that a link or an id names shows; None if `place` names no message.

        Only messages of the channel of the event are looked up. Raises Refusal.
        """
        return None

    async def linked(self, event: E, url: str) -> P | None:
        """Return the picture that an address on the platform's own hosts names; None for any other address.

        Raises Refusal.
        """
        return None

    def check_picture(self, picture: P) -> None:
        """Raise Refusal for what will be refused, as far as it can be told before it is fetched."""
        return None

    def named(self, picture: P) -> str:
        """Return the name of a picture's file, to tell it from others; empty where it has none."""
        return ""

    def spelled(self, words: str) -> str:
        """Return words as a prompt says them; surfaces with names for emoji override it."""
        return words

    def check_place(self, origin: Origin) -> None:
        """Raise Refusal for a place that this Easel does not serve."""

    async def ignore(self, event: E) -> None:
        """Acknowledge a press that was made twice, and do nothing."""

    def openly(self, event: E) -> E:
        """Return the event with a public answer: an offer is private, but what it paints is for all."""
        return event

    async def ask_where(self, event: E, action: Action) -> None:
        """Ask for a place in which to show a job; surfaces that have such a question override it."""
        await self.answer(event, partial(_refuse, _NO_PLACES))

    async def bring_again(self, event: E, action: Action, ask: Ask) -> None:
        """Show a job's own message anew; surfaces that cannot show it in its place answer with a copy."""
        await self.answer(event, ask)

    # ---- what people do

    async def command(
        self, event: E, name: str, options: Mapping[str, object], sent: Mapping[str, P] | None = None
    ) -> None:
        """Answer a command with its options as typed, and with pictures that were sent for some of them."""

        async def ask(origin: Origin) -> Answer:
            fetched = {key: await self.fetch(event, each) for key, each in (sent or {}).items()}
            if name == "verify" and not fetched:
                return await self._verified_by_name(event, options, origin)
            if name in SHOWN_COMMANDS and not fetched:
                return await self._by_name(event, name, options, origin)
            if name == "imagine":
                return await self._imagine(event, {**options, **fetched}, origin)
            return await self.handle(name, {**options, **fetched}, origin)

        alone: Alone | None = None
        if name == "imagine":
            alone = self._alone_by(options)
        elif name in PICTURE_COMMANDS:
            alone = self._alone_by_pictures(name, options, sent or {})
        elif name in JOB_COMMANDS:
            alone = self._alone_of(str(options.get("job", "")))
        await self.answer(event, ask, alone)

    async def press(self, event: E, button: str) -> None:
        """Answer a press of any card's button, or of an entry of its menu, however old the card is."""
        ask = partial(self._press, button)
        action = _understood(button)
        if action is None:  # the studio says so
            await self.answer(event, ask)
        elif _makes_something(action.spec) and self._repeated(event, button):
            await self.ignore(event)
        elif action.spec.about == "sent":
            await self._use_sent(event, action)
        else:
            await self._answer_press(event, action, ask)

    async def _use_sent(self, event: E, action: Action) -> None:
        """Go on with the one of several images that somebody chose."""

        async def paint(origin: Origin) -> Answer:
            sent, picture = self._sent.chosen(action, origin.member)
            source = await self.fetch(event, picture)
            return await self.handle("imagine", {"prompt": sent.words, "source": source}, origin)

        async def form(origin: Origin) -> Answer:
            _sent, picture = self._sent.chosen(action, origin.member)
            self.check_picture(picture)
            return _reference_form()

        if action.spec.answers == "form":
            await self.open(event, form, self._sent.picture(action))
        else:
            await self.answer(event, paint, self._alone_by({"prompt": self._sent.words(action)}))

    def _which(self, pictures: Sequence[P], words: str, origin: Origin) -> Card:
        names = [self.named(each) for each in pictures]
        return self.said(self._sent.ask(Sent(origin.member.id, tuple(pictures), words), names), origin)

    async def _answer_press(self, event: E, action: Action, ask: Ask) -> None:
        match action.spec.answers:
            case "form":
                await self.open(event, ask)
            case "place":
                await self.ask_where(event, action)
            case "message":
                await self.bring_again(event, action, ask)
            case "replacement":
                await self.answer(event, ask, replace=True)
            case "job":
                offered = action.spec.about in ("text", "key")
                event = self.openly(event) if offered else event
                await self.answer(event, ask, self._alone_after(action))
            case "card":
                await self.answer(event, ask)

    async def submit(self, event: E, read: Callable[[], Filled[P]]) -> None:
        """Answer a form that was filled in; `read` raises Refusal where it cannot be understood."""

        async def ask(origin: Origin) -> Answer:
            filled = read()
            options = dict(filled.options)
            if filled.picture is not None:
                options["source"] = await self.fetch(event, filled.picture)
            if filled.mask is not None:
                options["mask"] = await self.fetch(event, filled.mask)
            if filled.command == "imagine":
                return await self._imagine(event, options, origin, filled.parent)
            return await self.handle(filled.command, options, origin, parent=filled.parent)

        async def alone(member: Member, here: Collection[str]) -> bool:
            filled = read()
            if filled.command != "imagine":
                return True
            return await self._easel.planner.is_private(filled.options, member, here)

        await self.answer(event, ask, alone)

    async def use_as_source(self, event: E, message: Seen[P]) -> None:
        """Open a form that paints from this message's picture (message menu)."""

        async def ask(origin: Origin) -> Answer:
            await self._easel.vocabulary.check_source(origin.member)
            if message.job:
                await self._easel.visibility.job(message.job, origin.member, origin.here)
            elif message.picture is None:
                raise Refusal(_("There is no image in that message."), code="no_picture")
            else:
                self.check_picture(message.picture)
            return _reference_form(f"{message.job}:1" if message.job else "")

        async def which(origin: Origin) -> Answer:
            await self._easel.vocabulary.check_source(origin.member)
            return self._which(message.pictures, "", origin)

        if len(message.pictures) > 1 and not message.job:
            await self.answer(event, which)
        else:
            await self.open(event, ask, None if message.job else message.picture)

    async def on_job(self, event: E, message: Seen[P], name: actions.Name) -> None:
        """Do with a message's job what a button does (message menu); show several pictures to choose one."""
        spec = actions.SPECS[name]
        if spec.sent and message.pictures and not message.job:
            return await self.answer(event, partial(self._with_sent, event, spec.sent, message))

        async def job(member: Member, here: Collection[str]) -> Job:
            if message.job:
                return await self._easel.visibility.job(message.job, member, here)
            raise Refusal(_("That message holds no image of Easel's."), code="no_picture")

        async def ask(origin: Origin) -> Answer:
            found = await job(origin.member, origin.here)
            return await self._press(_on(spec, found).id, origin)

        async def alone(member: Member, here: Collection[str]) -> bool:
            found = await job(member, here)
            return not found.is_open(here) or _on(spec, found).name != name

        if spec.answers == "form":
            await self.open(event, ask)
        else:
            await self.answer(event, ask, alone if spec.answers == "job" else None)

    async def _with_sent(self, event: E, command: str, message: Seen[P], origin: Origin) -> Answer:
        """Answer a command about the first image of a message."""
        assert message.picture is not None
        self.check_picture(message.picture)
        return await self.handle(command, {"picture": await self.fetch(event, message.picture)}, origin)

    async def _by_name(self, event: E, command: str, options: Mapping[str, object], origin: Origin) -> Answer:
        """Answer a command about the image that a message shows, or that a job's id names."""
        named = str(options.get("picture") or options.get("message") or "").strip()
        if 0 < len(named) <= LONGEST_LINK and (message := await self.shown_at(event, named)):
            if message.pictures and not message.job:
                return await self._with_sent(event, command, message, origin)
            return await self.handle(command, {"picture": message.job}, origin)
        return await self.handle(command, options, origin)

    async def verify(self, event: E, message: Seen[P]) -> None:
        """Tell whether this message's pictures were made here (message menu)."""
        await self.answer(event, partial(self._verified, event, message))

    async def _verified_by_name(self, event: E, options: Mapping[str, object], origin: Origin) -> Answer:
        named = str(options.get("picture") or options.get("message") or "").strip()
        if 0 < len(named) <= LONGEST_LINK and (message := await self.shown_at(event, named)):
            return await self._verified(event, message, origin)
        return await self.handle("verify", options, origin)

    async def _verified(self, event: E, message: Seen[P], origin: Origin) -> Answer:
        """Answer about each picture of a message; of a job whose picture is not attached, about that."""
        if not message.pictures and message.job:
            return await self.handle("verify", {"picture": message.job}, origin)
        if not message.pictures:
            raise Refusal(_("There is no image in that message."), code="no_picture")
        if len(message.pictures) == 1:
            return await self._verified_file(event, message.pictures[0], origin)
        lines = []
        for number, each in enumerate(message.pictures[:MOST_VERIFIED], start=1):
            card = await self.asked(partial(self._verified_file, event, each), origin)
            assert isinstance(card, Card)
            lines.append(f"{number}. {' · '.join(card.body)}")
        if len(message.pictures) > MOST_VERIFIED:
            rest = Card(
                kind="text", body=(_("Only the first {most} images were checked.", most=MOST_VERIFIED),)
            )
            lines += self.said(rest, origin).body
        return replace(self.said(Card(kind="text", private=True), origin), body=tuple(lines))

    async def _verified_file(self, event: E, picture: P, origin: Origin) -> Answer:
        return await self.handle("verify", {"picture": await self.fetch(event, picture)}, origin)

    async def words(
        self, event: E, words: str, sent: Sequence[P] = (), parent: str = "", *, addressed: bool = True
    ) -> None:
        """Answer plain words: paint a request, ask if they may be one, ignore talk.

        A request changes the picture that came with it (it asks which of several), else that of the job
        `parent` that it means. `addressed`: said to Easel, in a direct message or by a mention; else under
        one of Easel's pictures, among other people's words. `bot.prompts.talk` decides what is a request.
        """
        link, words = prompts.leading_link(words)
        parent = self._turned.get(parent, parent) if self.newest else parent
        back = turns.read(words) if parent and not (sent or link) else None
        reading = talk.read(words, addressed=addressed, picture=bool(parent or sent or link))

        async def ask(origin: Origin) -> Answer:
            heard = await self._easel.changes.heard(origin)
            if heard == "off":
                return NoAnswer()
            if back:
                return await self._go_back(event, origin, parent, back, sure=heard == "paint")
            match reading.does:
                case "talk" if addressed and reading.expects:
                    return self.said(Card(kind="text", body=(self.hint,)), origin)
                case "talk":
                    return NoAnswer()
                case "paint" | "ask":
                    sure = reading.does == "paint" and heard == "paint"
                    asking = (
                        self._said_of_link(event, origin, reading, link, sure=sure)
                        if link
                        else self._said(event, origin, reading, sent, parent, sure=sure)
                    )
                    return await self._calmly(asking, origin)
                case command:
                    return await self.handle(command, {}, origin)

        alone = self._alone_of(parent) if parent else self._alone_by({"prompt": reading.words})
        await self.answer(event, ask, alone if reading.does == "paint" else None)

    async def _go_back(self, event: E, origin: Origin, parent: str, back: Back, *, sure: bool) -> Answer:
        """Show an earlier picture of a conversation, or do there what was asked behind it."""
        job = await self._easel.changes.turned(parent, back, origin)
        if back.rest:
            reading = Spoken(does="paint", why="back", words=back.rest)
            return await self._said(event, origin, reading, (), job.id, sure=sure)
        self._turned[parent] = job.id
        while len(self._turned) > MOST_TURNED:
            del self._turned[next(iter(self._turned))]
        return self.said(await self._easel.cards.shown(job, origin.member), origin)

    async def _calmly(self, asking: Awaitable[Answer], origin: Origin) -> Answer:
        """Return the answer to words; of many that come too fast, refuse one and pass over the others."""
        try:
            return await asking
        except Refusal as refusal:
            if refusal.code in HASTE and self._lately(self._calmed, (origin.member.id, refusal.code), CALM):
                return NoAnswer()
            raise

    async def _said(
        self, event: E, origin: Origin, reading: Spoken, sent: Sequence[P], parent: str, *, sure: bool
    ) -> Answer:
        """Paint what was asked for in words; where it is not `sure`, ask whether to."""
        words = self.spelled(reading.words)
        options: dict[str, object] = {"prompt": words}
        if parent and not sent:
            options = await self._easel.changes.changed(parent, words, reading.which, origin)
        if not sure and not sent:
            return await self._easel.changes.ask_to_paint(options, origin)
        if not sure and reading.does == "paint":  # a button cannot carry the picture
            raise Refusal(_BUTTONS_ONLY, code="channel")
        if not sure:
            return NoAnswer()
        if len(sent) > 1 and _BLENDS.match(words):
            files = [await self.fetch(event, each) for each in sent[: MOST_IMAGES + 1]]
            prompt = words if len(words.split()) > FEW_WORDS else MIXED
            return await self.handle("imagine", {"prompt": prompt, "files": {"images": files}}, origin)
        if len(sent) > 1:
            return self._which(sent, words, origin)
        if sent:
            options["source"] = await self.fetch(event, sent[0])
        return await self.handle("imagine", options, origin, parent=parent)

    async def _said_of_link(
        self, event: E, origin: Origin, reading: Spoken, link: str, *, sure: bool
    ) -> Answer:
        """Paint from the image at an address, where it is sure that this was asked for."""
        if sure:
            return await self._imagine(event, {"prompt": f"{link} {self.spelled(reading.words)}"}, origin)
        if reading.does == "paint":
            raise Refusal(_BUTTONS_ONLY, code="channel")
        return NoAnswer()

    async def _imagine(
        self, event: E, options: Mapping[str, object], origin: Origin, parent: str = ""
    ) -> Answer:
        """Ask for pictures; an address in front of the prompt, on the platform's own hosts, is the source."""
        link, rest = prompts.leading_link(str(options.get("prompt") or ""))
        if link and not options.get("source") and (picture := await self.linked(event, link)) is not None:
            options = {**options, "prompt": rest, "source": await self.fetch(event, picture)}
        return await self.handle("imagine", options, origin, parent=parent)

    # ---- what surfaces are built from

    async def handle(
        self, name: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """Call `Router.handle`, for `at_once` requests at a time. Raises Refusal."""
        async with self._gate:
            return await self._easel.router.handle(name, options, origin, parent=parent)

    async def asked(self, ask: Ask, origin: Origin) -> Card | Receipt | NoAnswer:
        """Return the answer; a refusal or an error becomes a card that says so."""
        try:
            self.check_place(origin)
            answer = await ask(origin)
        except Refusal as refusal:
            return self.refused(refusal, origin)
        except Exception:
            log.exception("an interaction failed", surface=origin.surface, event_id=origin.event)
            return self.refused(Refusal(BROKEN), origin)
        assert not isinstance(answer, Form)
        return answer

    async def question(self, ask: Ask, origin: Origin) -> tuple[Form, Command]:
        """Return the form that `ask` returns, and its command as the person may use it. Raises Refusal."""
        self.check_place(origin)
        form = await ask(origin)
        assert isinstance(form, Form)
        known = await self._easel.vocabulary.known(origin.member)
        command = next(each for each in known if each.name == form.command)
        return self._easel.speech.said(form, origin), command

    def refused(self, refusal: Refusal, origin: Origin) -> Card:
        """Return the card of a refusal in the language of the place, else in the person's own."""
        return self.said(job_cards.refused(refusal), origin)

    def said(self, card: Card, origin: Origin) -> Card:
        """Translate a card of the surface's own words to the language of the place, else of the person."""
        return self._easel.speech.said(card, origin)

    async def fetch(self, event: E, picture: P) -> bytes:
        """Return a picture's content. Raises Refusal."""
        try:
            return await self.download(event, picture)
        except self.unreachable as error:
            notice = _("The image could not be fetched from {title}. Send it again.", title=self.title)
            raise Refusal(notice, code="source") from error

    def check_size(self, size: int) -> None:
        """Raise Refusal for a picture of so many bytes where that is too much."""
        pictures.check_size(size, self._max_source_bytes)

    async def _press(self, button: str, origin: Origin) -> Answer:
        async with self._gate:
            return await self._easel.router.press(button, origin)

    def _repeated(self, event: E, button: str) -> bool:
        return self._lately(self._pressed, (self.presser(event), button), DOUBLE_CLICK)

    def _lately(self, seen: set[Hashable], key: Hashable, seconds: float) -> bool:
        """Tell whether `key` was asked about in the last seconds."""
        if key in seen:
            return True
        seen.add(key)
        asyncio.get_running_loop().call_later(seconds, seen.discard, key)
        return False

    # ---- whether an answer is for one person alone

    def _alone_by(self, options: Mapping[str, object]) -> Alone:
        return partial(self._easel.planner.is_private, options)

    def _alone_by_pictures(self, name: str, options: Mapping[str, object], sent: Mapping[str, P]) -> Alone:
        async def alone(member: Member, here: Collection[str]) -> bool:
            asked = imagined(name, {**options, **dict.fromkeys(sent, b"a file")})
            named = {key: value for key, value in asked.items() if not isinstance(value, bytes)}
            return await self._easel.planner.is_private({**named, "edit": None}, member, here)

        return alone

    def _alone_of(self, id: str) -> Alone:
        async def alone(member: Member, here: Collection[str]) -> bool:
            return not (await self._easel.visibility.job(id, member, here)).is_open(here)

        return alone

    def _alone_after(self, action: Action) -> Alone:
        if action.spec.about in ("job", "picture"):
            return self._alone_of(action.job)

        async def alone(member: Member, here: Collection[str]) -> bool:
            text = await self._easel.router.offered(action, member)
            return await self._easel.planner.is_private({"prompt": text}, member, here)

        return alone


_BLENDS = re.compile(
    r"(?:please |bitte )?(?:blend|mix|combine|merge|mische?|vermische?|verschmelze?|kombiniere?|mélange|"
    r"fusionne|combine)\b",
    re.IGNORECASE,
)


def _reference_form(source: str = "") -> Form:
    values = {"source": source} if source else {}
    return Form(command="imagine", title=_("Use as reference"), values=values)


def _understood(button: str) -> Action | None:
    try:
        return actions.parse(button)
    except Refusal:
        return None


def _makes_something(spec: ActionSpec) -> bool:
    return spec.answers in ("job", "form", "place")


def _on(spec: ActionSpec, job: Job) -> Action:
    """Return what a menu's entry does with a job; a job of several pictures is shown first, to choose one."""
    if spec.about == "job":
        return Action(name=spec.name, job=job.id)
    if len(job.singles) == 1:
        return Action(name=spec.name, job=job.id, index=0)
    return Action(name="show", job=job.id)


async def _refuse(notice: str, origin: Origin) -> Answer:
    raise Refusal(notice, code="place")
