"""Admit jobs to the queue: hold the cost and write the job in one transaction, or say why not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot import formats, limits, prompts
from bot.accounts import periods
from bot.accounts.access_rules import AccessRules, blocked, per
from bot.accounts.remaining import affordable, tightest
from bot.errors import Offer, Refusal
from bot.i18n import _, join, ngettext
from bot.messages import answers
from bot.models import Balance, Job
from bot.options import setting
from bot.prompts import Draft
from bot.store import Blocked, OverBudget, OverQuota, Store, TooManyWaiting, TooSoon
from engine.types import GenerationRequest, ModelInfo

SMALLER = (0.75, 0.5, 0.25)
"""Parts of the area that are offered when a request costs too much, the first that fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferContext:
    """What a refusal needs in order to offer what is possible instead."""

    model: ModelInfo
    estimate: Callable[[GenerationRequest], float]  # device-seconds
    draft: Draft | None = None  # what was asked for; None: no text can express it
    relaxing: str = ""  # the id of the button that asks for the same as a relaxed job
    balances: tuple[Balance, ...] = ()  # of all allowances, budgets and gifts that pay for it


async def admit(store: Store, job: Job, rules: AccessRules, context: OfferContext) -> tuple[Job, bool]:
    """Admit a job; return it as it is in the store, and False when its event was admitted before.

    Raises Refusal (codes "blocked", "quota", "waiting", "cooldown") with offers where some exist.
    """
    admitted, new = await admit_all(store, [job], rules, [context])
    return admitted[0], new


async def admit_all(
    store: Store, jobs: Sequence[Job], rules: AccessRules, contexts: Sequence[OfferContext]
) -> tuple[list[Job], bool]:
    """Admit the jobs of one request, all or none; `contexts`: of each. Raises Refusal."""
    origin = jobs[0].origin
    budgets = rules.budgets(origin.member.tenant, origin.channel)
    costs = [
        rules.spending(origin.member.tenant, context.model, job.request)
        for job, context in zip(jobs, contexts, strict=True)
    ]
    try:
        return await store.admit_all(
            jobs, tier=rules.tier, budgets=budgets, periods=rules.periods, spending=costs
        )
    except OverBudget as error:
        raise _over_budget(error, store.now()) from error
    except TooManyWaiting as error:
        if len(jobs) > 1:
            raise _too_many_more(len(jobs), error.waiting, rules) from error
        raise _too_many_waiting(error.waiting) from error
    except Blocked as error:  # after the rules were read
        raise blocked(error.person, store.now()) from error
    except TooSoon as error:
        raise _too_soon(error, rules) from error
    except OverQuota as error:
        if len(jobs) > 1:
            cost = sum(each.estimate for each in jobs)
            limit = tightest(contexts[0].balances) or error.balance
            raise _series_over_quota(cost, limit, store.now()) from error
        raise _over_quota(
            jobs[0].request, jobs[0].estimate, error.balance, rules, contexts[0], store.now()
        ) from error


def check_series(
    text: str,
    count: int,
    cost: float,
    waiting: int,
    balances: Sequence[Balance],
    rules: AccessRules,
    now: datetime,
) -> None:
    """Raise Refusal where so many jobs that cost so much could not be admitted together now.

    `text` asks for them; `waiting`: how many unfinished jobs there are.
    """
    if waiting + count > rules.tier.waiting:
        raise _too_many_more(count, waiting, rules)
    limit = tightest(balances)
    if limit and cost and not periods.fits(cost, affordable(balances)):
        offers: tuple[Offer, ...] = ()
        if "relax" in rules.tier.priorities:
            relaxed = prompts.with_options(text, {"relax": True})
            offers = (Offer(_("Relaxed: free, later"), relaxed),)
        raise Refusal(_series_over_quota(cost, limit, now).notice, code="quota", offers=offers)


def check(request: GenerationRequest, rules: AccessRules, context: OfferContext, now: datetime) -> None:
    """Raise Refusal (code "quota") for a request that `admit` would refuse by the present balances."""
    estimate, limit = context.estimate(request), tightest(context.balances)
    if limit and not periods.fits(estimate, affordable(context.balances)):
        raise _over_quota(request, estimate, limit, rules, context, now)


def _over_budget(error: OverBudget, now: datetime) -> Refusal:
    spent, wanted = error.spent, error.spending
    left = max(0, (spent.cap or 0) - spent.parts)
    notice = _(
        "This costs {cost}, and of the {cap} of {name} for this month {left} are left. Ask for fewer images "
        "or choose another model; the budget is renewed at {when}.",
        cost=answers.money(wanted.parts, wanted.currency),
        cap=answers.money(spent.cap or 0, spent.currency),
        name=wanted.name,
        left=answers.money(left, spent.currency),
        when=answers.when(spent.resets, now),
    )
    return Refusal(notice, code="quota")


def _too_many_waiting(waiting: int) -> Refusal:
    notice = ngettext(
        "You have {count} job waiting or running, the most for one person. Wait until it "
        "ends, or `/cancel` it.",
        "You have {count} jobs waiting or running, the most for one person. Wait until "
        "one ends, or `/cancel` one.",
        waiting,
    )
    return Refusal(notice, code="waiting")


def _too_many_more(count: int, waiting: int, rules: AccessRules) -> Refusal:
    notice = _(
        "You have {waiting} jobs waiting or running, and these are {count} more; {most} are the most for one "
        "person. Wait until some end, or ask for fewer.",
        waiting=waiting,
        count=count,
        most=rules.tier.waiting,
    )
    return Refusal(notice, code="waiting")


def _series_over_quota(cost: float, balance: Balance, now: datetime) -> Refusal:
    notice = _(
        "Together these jobs cost about {cost} GPU seconds, and {left} are left. Ask for fewer.",
        cost=math.ceil(cost),
        left=f"{math.floor(balance.left):,}",
    )
    if balance.resets:
        notice += _(" That {resets}.", resets=answers.resets(balance, now))
    return Refusal(notice, code="quota")


def _too_soon(error: TooSoon, rules: AccessRules) -> Refusal:
    tier = rules.tier
    return Refusal(
        _(
            "Your tier, {title}, may ask once in {span}. Ask again in {wait}.",
            title=tier.title,
            span=formats.span(tier.cooldown),
            wait=formats.span(max(1, math.ceil(error.seconds))),
        ),
        code="cooldown",
    )


def _over_quota(
    request: GenerationRequest,
    estimate: float,
    balance: Balance,
    rules: AccessRules,
    context: OfferContext,
    now: datetime,
) -> Refusal:
    notice = _needed(estimate, balance)
    if balance.resets:
        resets = answers.resets(balance, now, answers.when)
        notice = join(" ", (notice, _("The quota {resets}.", resets=resets)))
    offers = tuple(_offers(request, balance, rules, context))
    if not offers and estimate > balance.cap:
        notice = join(" ", (notice, _("Try a smaller size or fewer steps.")))
    return Refusal(notice, code="quota", offers=offers)


def _needed(estimate: float, balance: Balance) -> str:
    """Return a sentence that says what a request needs, and what is left of the quota that is too small."""
    left, cost = math.floor(balance.left), max(1, math.ceil(estimate))
    need = ngettext("This needs about {count} GPU second", "This needs about {count} GPU seconds", cost)
    told = {"need": need, "cap": per(balance.cap, balance.per), "left": f"{left:,}", "name": balance.name}
    if balance.name:
        few = _("{need}, and of the {cap} of {name} only {left} are left.", **told)
        return few if left else _("{need}, and the {cap} of {name} are used up.", **told)
    few = _("{need}, and of your {cap} only {left} are left.", **told)
    return few if left else _("{need}, and your {cap} are used up.", **told)


def _offers(
    request: GenerationRequest, balance: Balance, rules: AccessRules, context: OfferContext
) -> Iterator[Offer]:
    """Yield offers that would fit: fewer pictures, smaller ones, or the same behind all other jobs."""
    if context.draft and not context.draft.has_file:
        left = affordable(context.balances) if context.balances else balance.left
        yield from _fewer(request, left, context.draft, context)
        yield from _smaller(request, left, context.draft, context)
        if "relax" in rules.tier.priorities:
            yield prompts.offer(_("Relaxed: free, later"), context.draft, relax=True)
    elif context.relaxing and "relax" in rules.tier.priorities:
        yield Offer(_("Relaxed: free, later"), button=context.relaxing)


def _fewer(request: GenerationRequest, left: float, draft: Draft, context: OfferContext) -> Iterator[Offer]:
    if request.best > 1:
        draft = replace(draft, best=None)
    for count in range(request.count - 1, 0, -1):
        if periods.fits(context.estimate(replace(request, count=count)), left):
            yield prompts.offer(setting("count", count), draft, count=count)
            return


def _smaller(request: GenerationRequest, left: float, draft: Draft, context: OfferContext) -> Iterator[Offer]:
    for part in SMALLER:
        size = limits.shrunk((request.width, request.height), part, context.model)
        if size and periods.fits(context.estimate(replace(request, width=size[0], height=size[1])), left):
            yield prompts.offer(_("Make it {value}", value=formats.sized(*size)), draft, size=size, aspect="")
            return
