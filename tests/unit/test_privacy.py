from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.accounts import privacy
from bot.accounts.privacy import PART, _split, token
from bot.actions import parse
from bot.messages.answers import forget
from bot.models import Origin
from tests.examples import a_job, a_member


def origin(user: str) -> Origin:
    return Origin(surface="web", member=a_member(user), channel="c", event="e")


def test_a_token_is_one_persons_and_fits_a_button() -> None:
    assert token(origin("ada")) == token(origin("ada")) != token(origin("ben"))
    [[button]] = forget(token(origin("ada"))).rows
    assert parse(button.id).job == token(origin("ada"))
    assert "ada" not in button.id


@given(st.lists(st.integers(min_value=1, max_value=2 * PART), max_size=40))
def test_parts_hold_every_picture_once_and_are_small_where_they_can_be(sizes: list[int]) -> None:
    pictures = [(f"{number}.png", f"blob{number}", size) for number, size in enumerate(sizes)]
    parts = _split(pictures)

    assert [each for part in parts for each in part] == [(name, blob) for name, blob, _ in pictures]
    by_name = {name: size for name, _, size in pictures}
    for part in parts:
        assert len(part) <= 1 or sum(by_name[name] for name, _ in part) <= PART
    assert parts == [[]] or all(parts)


def test_what_is_told_of_a_job_holds_no_token_of_a_platform() -> None:
    job = a_job(message={"webhook": "s3cret"})
    told = privacy._json([privacy._as_dict(job)]).decode()
    assert "s3cret" not in told and '"reply"' not in told
    assert job.id in told and "a red fox in snow" in told


@pytest.mark.parametrize("text", ["a \u202e fox", "🦊", 'quotes " and \\', "line\nbreak"])
def test_any_text_is_exported_as_json(text: str) -> None:
    assert privacy._json({"prompt": text})
