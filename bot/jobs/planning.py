"""From typed options to a request that may be painted, or a refusal whose offers would be accepted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot import actions, prompts
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.errors import Refusal
from bot.i18n import _
from bot.images import pictures
from bot.jobs import admission, offers
from bot.jobs.admission import OfferContext
from bot.jobs.visibility import Visibility
from bot.models import Balance, Member, Origin
from bot.prompts import Draft, Source
from bot.store import Store
from engine.types import Engine, GenerationRequest, ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request that may be painted, and what it was read from."""

    typed: Draft
    draft: Draft  # the same with the person's defaults
    request: GenerationRequest
    source: Source | None
    png: bytes  # of a source that is not stored yet
    model: ModelInfo
    relaxed: bool
    note: str  # which flags of other tools were left out; to show


@dataclass(eq=False)
class Planner:
    """Reads the options of `/imagine` into a plan. Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _visibility: Visibility
    _max_source_bytes: int

    async def check(self, options: Mapping[str, object], origin: Origin) -> None:
        """Raise Refusal when /imagine would not take these options."""
        await self.plan(dict(options), origin, await self._access.rules(origin.member))

    async def is_private(
        self, options: Mapping[str, object], member: Member, here: Collection[str] = ()
    ) -> bool:
        """Return whether what /imagine paints by these options, but for files, is for the member alone.

        Raises Refusal.
        """
        draft = prompts.parse(str(options.get("prompt", "")), {**options, "prompt": None})
        if draft.source:
            id = str(draft.source).partition(":")[0]
            if not (await self._visibility.job(id, member, here)).is_open(here):
                return True
        preferred = (await self._access.rules(member)).preferences().private
        return preferred if draft.private is None else draft.private

    async def plan(self, options: dict[str, Any], origin: Origin, rules: AccessRules) -> Plan:
        """Return what the options ask for.

        Raises Refusal, which names all that is wrong; each of its offers would be accepted.
        """
        text = str(options.pop("prompt", ""))
        source = options.get("source")
        if isinstance(source, bytes):
            most = self._max_source_bytes
            source = options["source"] = await pictures.open_source(source, max_bytes=most)
        try:
            return await self._read(text, options, origin, rules)
        except Refusal as refusal:
            file = {"source": source} if isinstance(source, bytes) else {}
            found = await self._with_tried_offers(refusal, file, origin, rules)
            # A text cannot carry the file.
            raise Refusal(found.notice, code=found.code, offers=() if file else found.offers) from refusal

    async def _with_tried_offers(
        self, refusal: Refusal, file: Mapping[str, Any], origin: Origin, rules: AccessRules
    ) -> Refusal:
        """Return the refusal with those of its offers that admission would take."""

        async def attempt(text: str) -> None:
            await self._check_admission(await self._read(text, file, origin, rules), origin, rules)

        return await offers.mended(refusal, attempt)

    async def accepts(self, options: Mapping[str, object], origin: Origin) -> None:
        """Raise Refusal when /imagine would refuse these options now, admission included."""
        rules = await self._access.rules_to_paint(origin)
        await self._check_admission(await self.plan(dict(options), origin, rules), origin, rules)

    async def _check_admission(self, plan: Plan, origin: Origin, rules: AccessRules) -> None:
        if not plan.relaxed:
            context = self.offer_context(plan, await self._access.balances(rules, origin))
            admission.check(plan.request, rules, context, self._store.now())

    def offer_context(self, plan: Plan, balances: Sequence[Balance] = ()) -> OfferContext:
        """Return what a refusal by admission needs to offer something else."""
        return OfferContext(
            model=plan.model, estimate=self._engine.estimate, draft=plan.typed, balances=tuple(balances)
        )

    async def _read(self, text: str, options: Mapping[str, Any], origin: Origin, rules: AccessRules) -> Plan:
        typed = prompts.parse(text, options, ranged=False)
        source, png = await self._source(typed.source, origin)
        offered = self._engine.models()
        rules.check_model(typed.model, offered, typed)
        models = rules.models(offered)
        draft = prompts.with_defaults(typed, rules.preferences(), models, rules.tier, rules.takes_style)
        request = prompts.compose(draft, models, rules.tier, source, typed)
        model = prompts.choose_model(Draft(prompt="", model=request.model), offered)
        rules.check(request, draft.style, model, typed)
        return Plan(
            typed=typed,
            draft=draft,
            request=request,
            source=source,
            png=png,
            model=model,
            relaxed=rules.relaxed(draft.relax, typed),
            note=_left_out(prompts.left_out(text, options)),
        )

    async def _source(self, named: str | bytes, origin: Origin) -> tuple[Source | None, bytes]:
        """Return the picture to start from: a stored one, or a new one as PNG bytes not stored yet."""
        if isinstance(named, bytes):
            width, height = pictures.png_size(named)
            return Source(blob="", width=width, height=height), named
        if not named:
            return None, b""
        id, _colon, which = named.partition(":")
        job = await self._visibility.job(id, origin.member, origin.here)
        if which == "source":
            if job.request.source is None:
                raise Refusal(_("Job {id} did not start from an image.", id=job.id), code="no_picture")
            blob, width, height = job.request.source, job.request.width, job.request.height
        else:
            chosen = actions.picture(job, int(which or 1) - 1)
            blob, width, height = chosen.blob, chosen.width, chosen.height
        return Source(blob=blob, width=width, height=height, private=not job.is_open(origin.here)), b""


def _left_out(flags: Sequence[str]) -> str:
    if not flags:
        return ""
    return _("Nothing here does the same, so it was left out: {flags}", flags=", ".join(flags))
