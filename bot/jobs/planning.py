"""From typed options to a request that may be painted, or a refusal whose offers would be accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot import prompts
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.errors import Offer, Refusal
from bot.i18n import _, join
from bot.images import pictures
from bot.jobs import admission, offers, remake
from bot.jobs.admission import OfferContext
from bot.jobs.controls import ControlService
from bot.jobs.pictures import Pictures, opened_files
from bot.jobs.regions import Found, Regions
from bot.jobs.visibility import Visibility
from bot.models import Balance, Member, Origin
from bot.options import bounded, clip
from bot.prompts import Draft, Source, filed, packed, permutations, references
from bot.prompts.styles import NO_STYLE
from bot.store import Store
from engine import weights
from engine.lettering import Lettering, MissingGlyphs, TooLong, setting
from engine.types import Engine, GenerationRequest, Inpaint, Letter, ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request that may be painted, and what it was read from."""

    typed: Draft
    draft: Draft  # the same with the person's defaults
    request: GenerationRequest
    sources: tuple[Source, ...]  # of the request's `sources`, in their order
    found: Found | None  # the region that was named
    model: ModelInfo
    relaxed: bool
    note: str  # which flags of other tools were left out; to show
    parent: str = ""  # the job whose picture is changed
    control: bytes = b""  # what was made to control it, as PNG

    @property
    def private(self) -> bool:
        """Return whether only the person may see what comes of it, wherever it was asked for."""
        return bool(self.draft.private) or any(each.private for each in self.sources)

    @property
    def style(self) -> str:
        """Return the preset's name, empty where there is none."""
        return "" if self.draft.style == NO_STYLE else self.draft.style


@dataclass(eq=False)
class Planner:
    """Reads the options of `/imagine` into a plan. Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _visibility: Visibility
    _regions: Regions
    _max_source_bytes: int
    _pictures: Pictures
    _controls: ControlService

    async def check(self, options: Mapping[str, object], origin: Origin) -> None:
        """Raise Refusal when /imagine would not take these options."""
        await self.plans(dict(options), origin, await self._access.rules(origin.member))

    async def is_private(
        self, options: Mapping[str, object], member: Member, here: Collection[str] = ()
    ) -> bool:
        """Return whether what /imagine paints by these options, but for files, is for the member alone.

        Raises Refusal.
        """
        text = permutations.expanded(str(options.get("prompt", "")))[0]
        draft = prompts.parse(text, {**options, "prompt": None})
        for name in (draft.source, *draft.images, *draft.sref, *draft.cref):
            if name and await self._pictures.is_private(str(name), member, here):
                return True
        preferred = (await self._access.rules(member)).preferences().private
        return preferred if draft.private is None else draft.private

    async def plans(self, options: dict[str, Any], origin: Origin, rules: AccessRules) -> list[Plan]:
        """Return what each job of a series paints; most requests are of one job.

        A refusal names all that is wrong with any of them, and its offers are taken.
        """
        texts = permutations.expanded(prompts.clean(bounded(str(options.get("prompt", "")))))
        if len(texts) == 1:
            return _repeated([await self.plan({**options, "prompt": texts[0]}, origin, rules)])
        _check_series(options)
        given = {name: value for name, value in options.items() if name != "prompt"}
        tried = [await self._tried(prompts.with_options(each, given), origin, rules) for each in texts]
        if refusals := [each for each in tried if isinstance(each, Refusal)]:
            raise _refused(refusals, tried)
        return _repeated([each for each in tried if isinstance(each, Plan)])

    async def _tried(self, text: str, origin: Origin, rules: AccessRules) -> Plan | Refusal:
        try:
            return await self.plan({"prompt": text}, origin, rules)
        except Refusal as refusal:
            return refusal

    async def plan(self, options: dict[str, Any], origin: Origin, rules: AccessRules) -> Plan:
        """Return what the options ask for.

        Raises Refusal, which names all that is wrong; each of its offers would be accepted.
        """
        text = str(options.pop("prompt", ""))
        most = self._max_source_bytes
        files: dict[str, Any] = {name: value for name, value in options.items() if isinstance(value, bytes)}
        for name, value in files.items():
            files[name] = options[name] = await pictures.open_source(value, max_bytes=most)
        if sent := options.get("files"):
            files["files"] = options["files"] = await opened_files(sent, most)
        try:
            return await self._read(text, options, origin, rules)
        except Refusal as refusal:
            found = await self._with_tried_offers(refusal, files, origin, rules)
            # A text cannot carry the file.
            raise Refusal(found.notice, code=found.code, offers=() if files else found.offers) from refusal

    async def _with_tried_offers(
        self, refusal: Refusal, file: Mapping[str, Any], origin: Origin, rules: AccessRules
    ) -> Refusal:
        """Return the refusal with those of its offers that admission would take."""

        async def attempt(text: str) -> None:
            await self._check_admission(await self._read(text, file, origin, rules), origin, rules)

        return await offers.mended(refusal, attempt)

    async def stored(self, plan: Plan) -> GenerationRequest:
        """Return a plan's request, once all pictures that it needs are stored."""
        blobs = [each.blob or await self._regions.keep(each.png) for each in plan.sources]
        return plan.request.starting_from(*blobs)

    async def accepts(self, options: Mapping[str, object], origin: Origin) -> None:
        """Raise Refusal when /imagine would refuse these options now, admission included."""
        rules = await self._access.rules_to_paint(origin)
        for plan in await self.plans(dict(options), origin, rules):
            await self._check_admission(plan, origin, rules)

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
        _check_link(text, options)
        typed = prompts.parse(text, options, ranged=False)
        offered = self._engine.models()
        rules.check_model(typed.model, offered, typed)
        models = rules.models(offered)
        draft = prompts.with_defaults(typed, rules.preferences(), models, rules.tier, rules.takes_style)
        likely = prompts.model_for(draft, models)
        given = await self._pictures.given(typed, options.get("files", {}), origin, likely)
        request = prompts.compose(draft, models, rules.tier, said=typed, given=given)
        unlettered = await asyncio.to_thread(_check_lettering, request)
        model = prompts.choose_model(Draft(prompt="", model=request.model), offered)
        rules.check(request, draft.style, model, typed)
        described = replace(draft, prompt=references.prompt(draft, model, given))
        found = await self._found(typed, given.source, origin)
        mask = (Source(blob="", width=0, height=0, png=found.png),) if found else ()
        control = b""
        if draft.control and given.source:
            control = await self._controls.made(typed, model, await self._regions.content(given.source))
        task_sources = references.used(request.task, references.started(draft, given))
        return Plan(
            typed=typed,
            draft=described,
            request=request,
            sources=(*task_sources, *mask, *references.guiding(draft, model, given, control)),
            control=control,
            found=found,
            model=model,
            parent=given.pictures[0].job if (draft.edit or draft.pack) and given.pictures else "",
            relaxed=rules.relaxed(draft.relax, typed),
            note=join(
                " ",
                (
                    references.note(draft, model, given),
                    packed.note(
                        typed,
                        draft,
                        unlettered,
                        partial(self._engine.estimate, request),
                        as_it_is=isinstance(request.task, Letter),
                    ),
                    filed.note(draft),
                    _left_out(prompts.left_out(text, options)),
                    _weightless(draft, model),
                    remake.cut_by(request, model),
                ),
            ),
        )

    async def _found(self, typed: Draft, source: Source | None, origin: Origin) -> Found | None:
        """Return the mask of the part of the source that is to change, if it is a part."""
        if source is None or not (typed.mask or typed.region):
            return None
        if isinstance(typed.mask, bytes):
            return await self._regions.checked(typed.mask)
        if not typed.mask:
            return await self._regions.found(typed, source)
        job = await self._visibility.job(typed.mask.partition(":")[0], origin.member, origin.here)
        if not isinstance(job.request.task, Inpaint):
            raise Refusal(_("Job {id} changed no region, so it has no mask.", id=job.id), code="mask")
        return Found(png=await self._regions.content(Source(blob=job.request.task.mask, width=0, height=0)))


def _check_lettering(request: GenerationRequest) -> list[str]:
    """Return in which sizes of a pack the words fit at none that can be read; blocks.

    Raises Refusal for words that cannot be set on the image itself.
    """
    words = Lettering.of(request)
    try:
        if not words.texts:
            return []
        setting.layout(words, (request.width, request.height))
        return [each.name for each in request.sizes if not setting.fits(words, (each.width, each.height))]
    except MissingGlyphs as error:
        raise Refusal(
            _(
                "There is no font here for {characters}. Leave them out of the text.",
                characters=clip(error.characters),
            ),
            code="text",
        ) from error
    except OSError as error:
        notice = _("A font of this Easel is broken, so no words can be set. Install Easel again.")
        raise Refusal(notice, code="text") from error
    except TooLong as error:
        raise Refusal(
            _("“{text}” is too long to be read on this image. Use fewer words.", text=clip(error.text)),
            code="text",
        ) from error


def _weightless(draft: Draft, model: ModelInfo) -> str:
    """Say which weights in the prompt the model does not take."""
    found = weights.read(draft.prompt)
    if found.negative and not model.negative_prompt:
        return _(
            "{model} takes no negative prompt, so this was left out: {words}",
            model=model.name,
            words=", ".join(found.negative),
        )
    if len(found.texts) > 1 and not model.weights:
        return _("{model} takes no weights in a prompt, so they were left out.", model=model.name)
    return ""


def _repeated(plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans with their repetitions, each of which goes on with the seeds of the one before."""
    if sum(each.typed.repeat or 1 for each in plans) > permutations.MOST:
        raise permutations.too_many()
    return [
        replace(each, request=replace(each.request, seed=each.request.seed_of(copy * each.request.count)))
        for each in plans
        for copy in range(each.typed.repeat or 1)
    ]


def _check_link(text: str, options: Mapping[str, Any]) -> None:
    """Raise Refusal for an address in front of a prompt: what is to be fetched was fetched before."""
    link, rest = prompts.leading_link(text)
    if link:
        notice = _(
            "Easel fetches no images from that address. Attach the image itself, or leave the link out."
        )
        offer = Offer(_("Leave it out"), prompts.with_options(rest, options))
        raise Refusal(notice, code="source", offers=(offer,) if rest else ())


def _check_series(options: Mapping[str, object]) -> None:
    if options.get("files") or any(isinstance(value, bytes) for value in options.values()):
        notice = _(
            "A file works with one prompt at a time. Leave out the choices in braces and --repeat, "
            "or name an image of a job by --source."
        )
        raise Refusal(notice, code="series")


def _refused(refusals: Sequence[Refusal], tried: Sequence[Plan | Refusal]) -> Refusal:
    """Return the refusal of a series, with an offer that puts all of its prompts right."""
    notices = dict.fromkeys(each.notice for each in refusals)
    offers: tuple[Offer, ...] = ()
    if all(each.offers for each in refusals):
        texts = [
            each.offers[0].text if isinstance(each, Refusal) else prompts.render(each.typed) for each in tried
        ]
        if text := permutations.together(texts):
            offers = (Offer(_("Change all of that"), text),)
    return Refusal(join(" ", notices), code=refusals[0].code, offers=offers)


def _left_out(flags: Sequence[str]) -> str:
    if not flags:
        return ""
    return _("Nothing here does the same, so it was left out: {flags}", flags=", ".join(flags))
