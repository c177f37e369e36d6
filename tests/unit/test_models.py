from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.examples import a_job


def test_a_jobs_seconds_are_never_negative() -> None:
    job = a_job()
    assert job.seconds == 0
    assert replace(job, finished=job.created + timedelta(seconds=2)).seconds == 2
    assert replace(job, finished=job.created - timedelta(hours=1)).seconds == 0  # the clock was set back
