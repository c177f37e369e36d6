"""Routes a command or a press to the service that answers it, and translates the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from bot import actions, commands
from bot.accounts.access import Access
from bot.accounts.api_keys import ApiKeys
from bot.accounts.logins import Logins
from bot.accounts.privacy import Privacy
from bot.accounts.service import AccountService
from bot.actions import Action
from bot.adapters.base import Answer, NoAnswer, Receipt
from bot.admin.service import Admin
from bot.commands.complete import Vocabulary
from bot.contests.service import Contests
from bot.describing.service import DescribeService
from bot.errors import Refusal
from bot.gate import Gate
from bot.i18n import _
from bot.i18n.speech import Speech
from bot.images.pictures import zipped
from bot.images.service import Images
from bot.jobs import offers
from bot.jobs.alt_texts import AltTextService
from bot.jobs.changes import source_job
from bot.jobs.favourites import FavouriteService
from bot.jobs.files import FileService
from bot.jobs.packs import PackService
from bot.jobs.parts import PartService
from bot.jobs.pictured import imagined
from bot.jobs.queries import JobQueries
from bot.jobs.references import ReferenceService
from bot.jobs.series import SeriesService
from bot.jobs.service import JobService
from bot.jobs.visibility import Visibility
from bot.messages import answers, job_cards
from bot.messages.types import Card
from bot.models import Job, Member, Origin
from bot.moderation.reviews import DECISIONS, Reviews
from bot.options import bounded
from bot.provenance.service import VerifyService
from bot.rewriting.service import RewriteService
from bot.store import Store

T = TypeVar("T")

PAINTING = ("imagine", "upscale", "vary", "cutout", "extend", "region", "edit", "blend")
"""Commands that check by themselves whether the person may ask."""
ALWAYS = ("help", "quota", "verify", "api list", "api revoke", "privacy export", "privacy delete")
"""Commands that blocked people may use."""
_NO_LETTERS = _("Easel sends no direct messages here. Download, in the ⋯ menu, gives the originals.")


_WITHOUT_ROLES = ("api", "cli", "web")
"""Surfaces that know no roles of their own; the studio knows those of a login."""


@dataclass(eq=False)
class Router:
    """Passes what people do to services. Every answer is for the person who asked, in their language."""

    _store: Store
    _gate: Gate
    _speech: Speech
    _access: Access
    _visibility: Visibility
    _vocabulary: Vocabulary
    _jobs: JobService
    _series: SeriesService
    _queries: JobQueries
    _favourites: FavouriteService
    _accounts: AccountService
    _logins: Logins
    _privacy: Privacy
    _reviews: Reviews
    _images: Images
    _verify: VerifyService
    _describe: DescribeService
    _rewriting: RewriteService
    _admin: Admin
    _contests: Contests
    _api_keys: ApiKeys
    _parts: PartService
    _references: ReferenceService
    _packs: PackService
    _files: FileService
    _alt_texts: AltTextService

    def __post_init__(self) -> None:
        self._commands: dict[str, Callable[[dict[str, Any], Origin], Awaitable[Card | Receipt]]] = {
            "upscale": self._jobs.upscale,
            "vary": self._jobs.vary,
            "cutout": self._jobs.cut_out,
            "extend": self._parts.extend_command,
            "region": self._parts.region_command,
            "edit": lambda options, origin: self._jobs.imagine(imagined("edit", options), origin),
            "blend": lambda options, origin: self._jobs.imagine(imagined("blend", options), origin),
            "reference save": self._references.save,
            "reference list": self._references.listed,
            "reference delete": self._references.delete,
            "queue": self._queries.queue,
            "cancel": self._jobs.cancel_command,
            "history": self._queries.history,
            "favourites": self._favourites.listed,
            "contest show": self._contests.show,
            "contest enter": self._contests.enter_command,
            "show": self._queries.show,
            "quota": self._accounts.quota,
            "verify": self._verify.verify,
            "download": self._files.command,
            "alt": self._alt_texts.command,
            "describe": self._describe.command,
            "shorten": self._rewriting.shorten,
            "expand": self._rewriting.expand,
            "styles": self._vocabulary.show_styles,
            "settings": self._accounts.settings,
            "studio": lambda options, origin: self._logins.link(origin),
            "link": self._accounts.link,
            "api create": self._api_keys.create,
            "api list": self._api_keys.listed,
            "api revoke": self._api_keys.revoke,
            "privacy export": lambda options, origin: self._privacy.export(origin, options.get("part", 1)),
            "privacy delete": self._ask_to_forget,
            "help": self._vocabulary.help,
        }
        self._presses: dict[actions.Name, Callable[[Action, Job, Origin], Awaitable[Answer]]] = {
            **dict.fromkeys(actions.DERIVING, self._jobs.derive),
            **dict.fromkeys(actions.EXTENDING, self._parts.extend),
            **dict.fromkeys(("region", "extend"), self._parts.choose),
            **dict.fromkeys(("region_image", "extend_image"), self._parts.shown),
            "region_form": self._parts.form,
            "sizes": self._packs.choose,
            "sizes_image": self._packs.offered,
            "edit": self._queries.edit,
            "change": self._queries.change,
            "info": self._queries.info,
            "describe": self._describe.press,
            "pick": self._queries.pick,
            "more": self._queries.more,
            "favourite": self._favourites.toggle,
            "download": self._download,
            "download_as": self._files.choose,
            "alt": self._alt_texts.press,
            **dict.fromkeys(actions.FILES, self._files.press),
            "show": self._queries.show_again,
            "share": self._queries.share,
            "cancel": self._jobs.cancel,
            "cancel_series": self._jobs.cancel_series,
            "delete": self._jobs.delete,
            "enter": self._contests.enter,
            "enter_image": self._contests.enter,
            "report": lambda action, job, origin: self._reviews.report(job, origin),
        }

        self._votes = {
            "contest_entry": self._contests.look,
            "vote": self._contests.vote,
            "report_entry": self._contests.report,
        }

    async def handle(
        self, command: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """Do what a command asks. `options`: name → value as typed; a picture may be its bytes.

        `parent` is the job whose form is answered, or whose picture the words change. Raises Refusal.
        """
        return await self._answer(self._handle(command, dict(options), origin, parent), origin)

    async def press(self, button: str, origin: Origin) -> Answer:
        """Do what a button stands for, however old its card is. Raises Refusal."""
        return await self._answer(self._press(button, origin), origin)

    async def react(self, name: actions.Name, id: str, origin: Origin) -> Card | NoAnswer:
        """Do what a reaction on a job's message stands for.

        It may have been no more than an opinion, so only what hands something over is answered, and refused
        by a sentence. Raises Refusal.
        """
        if name == "download":
            if not self._access.takes_direct:
                raise Refusal(_NO_LETTERS, code="direct")
            answer = await self.press(Action(name=name, job=id).id, origin)
            assert isinstance(answer, Card)
            return answer
        with suppress(Refusal):
            if name == "favourite":
                await self._gate.through(self._mark(id, origin))
            else:
                await self.press(Action(name=name, job=id).id, origin)
        return NoAnswer()

    async def unreact(self, name: actions.Name, id: str, member: str) -> None:
        """Undo what a reaction stood for, now that it was taken away."""
        assert name == "favourite"
        with suppress(Refusal):
            await self._gate.through(self._favourites.remove(id, member))

    async def _mark(self, id: str, origin: Origin) -> None:
        (await self._access.rules(origin.member)).check_person()
        await self._favourites.add(await self._visibility.job(id, origin.member, origin.here), origin)

    async def offered(self, action: Action, member: Member) -> str:
        """Return the text that an offer's button stands for. Raises Refusal where it is not kept any more."""
        if action.spec.about == "text":
            return action.text
        text = await self._store.offer(action.job.partition("_")[0], member.id)
        if text is None:
            raise Refusal(_("This offer has expired. Ask again with /imagine."), code="expired")
        return text

    async def _answer(self, work: Coroutine[Any, Any, T], origin: Origin) -> T:
        """Do the work; return its answer translated, without what only age-restricted channels may show."""
        try:
            answer = _fitting(await self._gate.through(work), origin)
        except Refusal as refusal:
            keep = partial(self._store.keep_offer, origin.member.id)
            raise self._speech.said(await offers.kept(refusal, keep), origin) from refusal.__cause__
        return answer if isinstance(answer, Receipt) else self._speech.said(answer, origin)  # type: ignore[type-var]

    async def _handle(
        self, name: str, options: dict[str, Any], origin: Origin, parent: str
    ) -> Card | Receipt:
        if origin.surface not in _WITHOUT_ROLES:
            await self._api_keys.seen(origin.member)
        for value in options.values():
            bounded(value if isinstance(value, str) else "")
        if name == "imagine":
            return await self._jobs.imagine(options, origin, parent)
        command = commands.command(name)
        if command.name == "reports" or command.admin:
            return await self._admin.administer(command.name, options, origin)
        checked = commands.check(command.name, options)
        if command.name not in (*PAINTING, *ALWAYS):
            (await self._access.rules(origin.member)).check_person()
        return await self._commands[command.name](checked, origin)

    async def _press(self, button: str, origin: Origin) -> Answer:
        action = actions.parse(button)
        if action.name in ("try", "offer", "paint"):
            text = await self.offered(action, origin.member)
            parent = source_job(text) if action.name == "paint" else ""
            return await self._jobs.imagine({"prompt": text}, origin, parent)
        if action.name == "start":
            return await self._series.start(action, await self.offered(action, origin.member), origin)
        if action.name == "dismiss":
            return answers.none_started()
        if action.name == "setup":
            return await self._admin.set_up(action.job, origin)
        if action.name == "forget":
            return await self._forget(action, origin)
        if action.name not in actions.DERIVING:
            (await self._access.rules(origin.member)).check_person()
        if action.name == "edit_words":
            return self._rewriting.edit(await self.offered(action, origin.member))
        if action.name == "former_words":
            return await self._rewriting.former(await self.offered(action, origin.member), origin)
        if action.name in self._votes:
            return await self._votes[action.name](action, origin)
        if action.name in DECISIONS:
            return await self._reviews.decide(action.job, action.name, origin)
        job = await self._visibility.job(action.job, origin.member, origin.here)
        return await self._presses[action.name](action, job, origin)

    async def _download(self, action: Action, job: Job, origin: Origin) -> Card:
        """Hand over a job's pictures, those without their words too."""
        if job.request.paper:
            return await self._files.printed(job)
        card = await self._files.download(job)
        files = list(card.files)
        if job.request.sizes and origin.surface == "web":
            files.append((f"{job.request.pack}-{job.id}.zip", await asyncio.to_thread(zipped, files)))
        files += [
            (f"{job_cards.file_name(job, each.index)}-plain.png", await self._images.get(each.plain))
            for each in job.singles
            if each.plain
        ]
        return replace(card, files=tuple(files))

    async def _ask_to_forget(self, options: dict[str, Any], origin: Origin) -> Card:
        return self._privacy.ask(origin)

    async def _forget(self, action: Action, origin: Origin) -> Card:
        done = await self._privacy.forget(action.job, origin)
        await self._images.sweep()
        return done


def _fitting(answer: T, origin: Origin) -> T:
    """Return an answer without what only age-restricted channels may show."""
    if isinstance(answer, Card) and answer.adult and not origin.adult:
        return job_cards.withheld(answer)  # type: ignore[return-value]
    return answer
