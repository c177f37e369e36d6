from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.models import Member
from tests.examples import a_job


def test_a_jobs_seconds_are_never_negative() -> None:
    job = a_job()
    assert job.seconds == 0
    assert replace(job, finished=job.created + timedelta(seconds=2)).seconds == 2
    assert replace(job, finished=job.created - timedelta(hours=1)).seconds == 0  # the clock was set back


@pytest.mark.parametrize(
    ("tenant", "id"),
    [
        ("", "web:ada"),
        ("slack:", "slack::U1"),
        ("discord:dm:", "discord:1"),
        ("slack:T1", "slack::U1"),
        ("slack:T1", ""),
    ],
)
def test_a_member_of_no_place_cannot_be_made(tenant: str, id: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        Member(tenant=tenant, id=id, name="Ada")
