"""The door of HTTP mode."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.slack.http_server import WINDOW, RequestGuard, RequestRefused
from bot.settings import Secret

NOW = 1_700_000_000.0
GUARD = RequestGuard(Secret("8f742231b10e8888abcd99yyyzzz85a5"))


def signed(body: bytes, stamp: str, secret: str = "8f742231b10e8888abcd99yyyzzz85a5") -> str:
    return "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()


def test_slack_s_own_example_gets_in() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"

    GUARD.check(["1531420618"], [signature], body, 1531420618.0)


@pytest.mark.parametrize("seconds", [-WINDOW, 0, WINDOW])
def test_what_is_within_the_window_gets_in(seconds: int) -> None:
    stamp = str(int(NOW) + seconds)
    GUARD.check([stamp], [signed(b"x", stamp)], b"x", NOW)


@pytest.mark.parametrize("seconds", [-WINDOW - 1, WINDOW + 1, -1_000_000])
def test_what_is_old_or_early_does_not(seconds: int) -> None:
    stamp = str(int(NOW) + seconds)
    with pytest.raises(RequestRefused):
        GUARD.check([stamp], [signed(b"x", stamp)], b"x", NOW)


def test_a_header_twice_or_missing_does_not() -> None:
    stamp = str(int(NOW))
    signature = signed(b"x", stamp)
    for stamps, signatures in (
        ([stamp, stamp], [signature]),
        ([stamp], [signature] * 2),
        ([], []),
        ([stamp], []),
    ):
        with pytest.raises(RequestRefused):
            GUARD.check(list(stamps), list(signatures), b"x", NOW)


def test_another_secret_or_body_does_not() -> None:
    stamp = str(int(NOW))
    for body, signature in (b"x", signed(b"x", stamp, "other")), (b"y", signed(b"x", stamp)):
        with pytest.raises(RequestRefused):
            GUARD.check([stamp], [signature], body, NOW)


@given(st.text(max_size=80), st.text(max_size=80), st.binary(max_size=80))
def test_whatever_is_made_up_is_refused_and_nothing_else_happens(
    stamp: str, signature: str, body: bytes
) -> None:
    with pytest.raises(RequestRefused):
        GUARD.check([stamp], [signature], body, NOW)
