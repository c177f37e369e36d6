"""Nouns with sensible values, for tests that care about one or two of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.accounts.tiers import Tiers, load
from bot.jobs.live import LiveJobs
from bot.jobs.tracker import JobTracker
from bot.models import Allowance, AuditLine, Job, Member, Origin, Tier, new_id
from engine.types import Engine, GenerationRequest, GuideInfo, ModelInfo

TINY = ModelInfo(
    name="easel-tiny", title="Easel tiny", licence="MIT", width=512, height=512, steps=20, guidance=5.0
)


def a_member(user: str = "ada", tenant: str = "web:local") -> Member:
    return Member(tenant=tenant, id=f"web:{user}", name=user)


def a_tracker(engine: Engine, **parts: Any) -> JobTracker:
    """A tracker of no jobs; of its other parts, only those that are named are there."""
    idle = dict.fromkeys(("store", "blobs", "show", "classifier", "judging", "rules", "stamp"))
    return JobTracker(lives=LiveJobs(), engine=engine, **(idle | parts))


def a_job(
    *,
    user: str = "ada",
    tenant: str = "web:local",
    private: bool = False,
    seen_in: tuple[str, ...] = (),
    event: str = "",
    **fields: Any,
) -> Job:
    """A new job of 4 pictures estimated at 8 device-seconds; `fields` replace those of Job."""
    id = fields.pop("id", new_id())
    origin = Origin(
        surface="web",
        member=a_member(user, tenant),
        channel="studio",
        event=event or id,
        private=private,
        seen_in=seen_in,
    )
    job = Job(
        id=id,
        origin=origin,
        request=GenerationRequest(prompt="a red fox in snow", seed=7),
        prompt="a red fox in snow",
        estimate=8.0,
        created=datetime.now(UTC),
    )
    return replace(job, **fields)


def a_tier(seconds: float = 1000.0, **fields: Any) -> Tier:
    """A tier of so many device-seconds in a UTC day; `fields` replace those of Tier."""
    allowances = (Allowance(seconds=seconds, per="day"),)
    return replace(Tier(name="everyone", title="Everyone", allowances=allowances, waiting=10**6), **fields)


def unhurried() -> Tiers:
    """The tiers that ship, but people may ask as fast as a test does, and for as much at once."""
    return Tiers(tuple(replace(each, cooldown=0.0, waiting=max(100, each.waiting)) for each in load().all))


def unhurried_file(folder: Path) -> Path:
    """A file of such tiers, for the setting TIERS_FILE of a process."""
    file = folder / "unhurried.toml"
    file.write_text('[everyone]\nallowances = [{ seconds = 3_600, per = "day" }]\nmax_count = 4\n')
    return file


def a_line(by: str = "web:op", **fields: Any) -> AuditLine:
    """What an administrator did; `fields` replace those of AuditLine."""
    line = AuditLine(at=datetime.now(UTC), by=by, name="Op", surface="web", tenant="web:local", what="test")
    return replace(line, **fields)


CONTROLS: dict[str, Any] = {
    "guides": (GuideInfo(name="canny", takes="canny"),),
    "controlled": frozenset({"text_to_image", "image_to_image"}),
}
"""What a model has that is guided by edges, as fields of its `ModelInfo`."""
