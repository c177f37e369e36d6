"""Answers that only look at jobs: the queue, the history, one job, its form, its details."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bot import actions, prompts
from bot.accounts.access import Access
from bot.actions import Action
from bot.errors import Refusal
from bot.i18n import _, join, ngettext
from bot.jobs import remake
from bot.jobs.cards import JobCards
from bot.jobs.live import LiveJobs
from bot.jobs.visibility import Visibility
from bot.messages import answers, job_cards
from bot.messages.types import Card, Form
from bot.models import Job, Origin, State
from bot.options import Unusable
from bot.prompts import Draft
from bot.prompts.draft import DEFAULT_STRENGTH
from bot.prompts.styles import NO_STYLE
from bot.store import Store
from engine.types import Engine, Lane

OF_PICTURES = (
    "images",
    "weights",
    "sref",
    "cref",
    "reference_weight",
    "control",
    "control_weight",
    "control_as_is",
)
"""Options of pictures beside the first: a change of one does not take them along."""
ANCESTORS = 10  # generations that a job's info names


@dataclass(eq=False)
class JobQueries:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _lives: LiveJobs
    _access: Access
    _visibility: Visibility
    _cards: JobCards

    def lanes(self) -> tuple[Lane, ...]:
        """Return everybody who waits or paints, in the order of their turns."""
        return self._engine.lanes()

    def state(self) -> str:
        """Return which model generates by default, and how many jobs there are, for all to see."""
        state, models = self._engine.status(), self._engine.models()
        jobs = state.inside + state.waiting
        queue = ngettext("{count} job in the queue", "{count} jobs in the queue", jobs) if jobs else _("free")
        return join(" · ", (models[0].title if models else "", queue))

    def living(self, ids: Iterable[str]) -> dict[str, Job]:
        """Return those of the jobs that wait or paint. Who may see them is for the caller to say."""
        return {id: self._lives[id].job for id in ids if id in self._lives}

    # ---- commands

    async def queue(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/queue`."""
        lanes = self.lanes()
        shown = (id for lane in lanes[: answers.MOST_LANES] for id in (*lane.running, *lane.waiting))
        seen = (origin.member, origin.here)
        found = [job for job in self.living(shown).values() if job.is_seen_by(*seen)]
        visible = {job.id: job for job in await self._visibility.seen(found, *seen)}
        account = await self._store.account_of(origin.member.id)
        loading = (each.loading for each in self._engine.status().workers if each.loading)
        return answers.queue(lanes, visible, origin.member, account, loading)

    async def history(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/history`."""
        search = options.get("search", "")
        style = _style(options["style"]) if "style" in options else ""
        user = "" if options.get("everyone") else origin.member.id
        found = await self._visibility.jobs(
            origin.member,
            here=origin.here,
            user=user,
            search=search,
            style=style,
            states=(State.RENDERED,),
            limit=10,
        )
        return answers.history(found, search=search)

    async def show(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/show`."""
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        return await self._cards.shown(job, origin.member)

    # ---- presses

    async def show_again(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return the job's card as it is now."""
        return await self._cards.shown(job, origin.member)

    async def pick(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return the card of one of the job's pictures."""
        index = actions.picture(job, action.index or 0).index
        return job_cards.picked(job, index, await self._cards.may(job, origin.member))

    async def more(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return what is behind the ⋯ of a finished job."""
        if job.state is not State.RENDERED:
            raise Refusal(_("That job has no images. Press Again to run it once more."), code="no_picture")
        return job_cards.more(job, await self._cards.may(job, origin.member))

    async def edit(self, action: Action, job: Job, origin: Origin) -> Form:
        """Return the form that paints a job again."""
        draft = await self._recalled(job, origin)
        return Form(
            command="imagine", title=_("Edit and generate again"), values=prompts.said(draft), parent=job.id
        )

    async def change(self, action: Action, job: Job, origin: Origin) -> Form:
        """Return the form that changes one of a job's pictures by an instruction."""
        chosen = actions.picture(job, action.index or 0)
        # A model that starts from images does it, whatever made these.
        varied = job.request.before_upscale().variation(chosen.unlettered, chosen.seed, DEFAULT_STRENGTH)
        draft = replace(
            await self._recalled(replace(job, request=varied), origin),
            **{each: getattr(Draft(prompt=""), each) for each in OF_PICTURES},
            prompt="",
            source=f"{job.id}:{chosen.index + 1}",
            edit=True,
            strength=None,
            seed=None,
        )
        title = _("Change image {n}", n=chosen.index + 1)
        return Form(command="imagine", title=title, values=prompts.said(draft), parent=job.id)

    async def info(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return what made a job, and what it was made from."""
        parents: list[Job] = []
        child = job
        with suppress(Refusal):  # an ancestor that was deleted ends the line
            while child.parent and len(parents) < ANCESTORS:
                child = await self._visibility.job(child.parent, origin.member, origin.here)
                parents.append(child)
        text = ""
        with suppress(Refusal):  # there is no model for this person
            text = prompts.render(await self._recalled(job, origin))
        compared = {model.name for model in self._engine.models() if model.compared}
        text = text if job.request.paints else ""
        card = answers.info(job, parents, text, compared=job.request.model in compared)
        return replace(card, pictures=job_cards.controlling(job))

    async def _recalled(self, job: Job, origin: Origin) -> Draft:
        rules = await self._access.rules(origin.member)
        return remake.recalled(job, rules, self._engine.models(), rules.preferences())

    async def share(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return what to show where `origin` is; once it stands there, the adapter reports it as shared."""
        await self._visibility.check_whose(action, job, origin.member)
        if job.origin.member.tenant != origin.member.tenant:
            raise Refusal(_("These images can be shared where they were asked for."), code="forbidden")
        if job.state is not State.RENDERED:
            raise Refusal(_("Only finished images can be shared."), code="no_picture")
        if job.hidden:
            raise Refusal(
                _("The message with these images was deleted, so only you can see them."), code="hidden"
            )
        if not (await self._access.rules(origin.member)).takes_channel(origin.channel):
            raise Refusal(_("Easel is not used in that channel. Share it in another one."), code="channel")
        return self._cards.present(replace(job, origin=replace(job.origin, private=False)))


def _style(value: str) -> str:
    try:
        name = prompts.read_style(value)
    except Unusable as error:
        raise Refusal(error.notice) from error
    return "" if name == NO_STYLE else name
