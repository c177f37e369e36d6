"""The door to the queue: hold the cost and write the job in one transaction, or say why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bot import prompt, quota
from bot.errors import Offer, Refusal
from bot.models import Balance, Job, Member
from bot.settings import Settings
from bot.store import OverQuota, Store, TooManyWaiting
from engine.types import ModelInfo


def account_of(member: Member) -> str:
    """The account that pays for what a member asks. Two linked identities would share one."""
    return member.id


async def admit(
    store: Store, job: Job, *, settings: Settings, models: Sequence[ModelInfo]
) -> tuple[Job, bool]:
    """The job as it now stands in the store, and False when its event was admitted before.

    `models` are those that may be asked for, the default first. Raises Refusal (codes "quota" and
    "waiting") with an offer where one exists.
    """
    try:
        return await store.admit(
            job,
            account=account_of(job.origin.member),
            cap=settings.daily_seconds,
            max_waiting=settings.max_waiting,
        )
    except TooManyWaiting as error:
        raise _too_many_waiting(error.waiting) from error
    except OverQuota as error:
        raise _over_quota(job, error.balance, models) from error


def _too_many_waiting(waiting: int) -> Refusal:
    jobs = f"{waiting} jobs" if waiting > 1 else "a job"
    notice = f"You have {jobs} waiting or running, the most for one person. Let one end, or `/cancel` one."
    return Refusal(notice, code="waiting")


def _over_quota(job: Job, balance: Balance, models: Sequence[ModelInfo]) -> Refusal:
    left, cost = math.floor(balance.left), max(1, math.ceil(job.estimate))
    notice = (
        f"This costs about {cost} s; you have {left} s left of today's {balance.cap:.0f} s, "
        f"so {cost - left} s are missing. The allowance resets at 00:00 UTC, {_until(balance.resets)}."
    )
    offers = _fewer(job, balance, models)
    if not offers and job.estimate > balance.cap:
        notice += " Try a smaller size or fewer steps."
    return Refusal(notice, code="quota", offers=offers)


def _fewer(job: Job, balance: Balance, models: Sequence[ModelInfo]) -> tuple[Offer, ...]:
    """As many pictures as still fit, as text that can be sent again."""
    count = quota.fitting(job.request.count, job.estimate, balance)
    # A source that came with this very request is not stored, so that no text can name it again.
    if not 0 < count < job.request.count or job.request.source is not None:
        return ()
    draft = replace(prompt.recall(job, models), count=count)
    return (Offer(f"Make it {count}", prompt.render(draft)),)


def _until(moment: datetime) -> str:
    minutes = max(1, round((moment - datetime.now(UTC)).total_seconds() / 60))
    return f"in about {round(minutes / 60)} h" if minutes >= 90 else f"in about {minutes} min"
