"""Names, sessions, and the brake on guessing."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.web.access import (
    SESSION_COOKIE,
    SESSION_SECONDS,
    Access,
    Attempts,
    clean_name,
    load_key,
    load_password,
    slug,
)
from bot.errors import EaselError


@given(st.text(max_size=80))
def test_a_clean_name_is_short_visible_and_stays_as_it_is(text: str) -> None:
    try:
        name = clean_name(text)
    except ValueError:
        return
    assert 1 <= len(name) <= 32
    assert name.isprintable()
    assert clean_name(name) == name


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u202e", "x" * 33, "\x00"])
def test_a_name_of_nothing_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 32"):
        clean_name(text)


def test_one_person_has_one_slug_however_the_name_is_typed() -> None:
    assert slug("Ana María") == slug("ana  maría") == "ana-maría"
    assert slug("Ana") != slug("Anna")


@given(st.text(min_size=1, max_size=32))
def test_every_name_has_a_slug(name: str) -> None:
    assert slug(name)


def test_attempts_are_counted_by_address() -> None:
    attempts = Attempts(limit=2, seconds=60, addresses=2)
    for address in ("1", "1", "2"):
        attempts.failed(address)

    assert attempts.exhausted("1")
    assert not attempts.exhausted("2")
    assert not attempts.exhausted("3")


def test_attempts_are_forgotten_with_time_and_with_too_many_addresses() -> None:
    forgetful = Attempts(limit=1, seconds=0)
    forgetful.failed("1")
    assert not forgetful.exhausted("1")
    crowded = Attempts(limit=1, addresses=2)
    for address in ("1", "2", "3"):
        crowded.failed(address)
    assert not crowded.exhausted("1")
    assert crowded.exhausted("3")


def an_access(password: str = "secret", key: bytes = b"k" * 32, **changes: Any) -> Access:
    return Access(password, "boss", key, **changes)


def signed_in(access: Access) -> str:
    response = web.Response()
    access.sign_in(make_mocked_request("POST", "/login"), response)
    return response.cookies[SESSION_COOKIE].value


def comes_in(access: Access, session: str) -> bool:
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{SESSION_COOKIE}={session}"})
    return access.is_member(request)


def test_a_session_holds_for_a_while_and_cannot_be_made_up() -> None:
    now = 1_000_000.0
    access = an_access(clock=lambda: now)
    session = signed_in(access)
    expires, _, signature = session.partition(".")

    assert comes_in(access, session)
    assert not comes_in(access, f"{int(expires) + 1}.{signature}")
    assert not comes_in(access, "")
    assert not comes_in(access, "nonsense.é")
    now += SESSION_SECONDS + 1
    assert not comes_in(access, session)


def test_a_password_of_odd_bytes_opens_nothing() -> None:
    access = an_access("sécret")

    assert access.opens("sécret")
    assert not access.opens("\udcff")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2:8000", True),
        ("[::1]:8000", True),
        ("LocalHost:1", True),
        ("127.1.2.3.", False),
        ("192.168.0.2", False),
        ("[::1", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_without_a_password_this_machine_alone_is_known(host: str, known: bool) -> None:
    request = make_mocked_request("GET", "/", headers={"Host": host})

    assert an_access("").knows_host(request) is known
    assert an_access().knows_host(request)


def test_the_configured_host_is_known() -> None:
    request = make_mocked_request("GET", "/", headers={"Host": "studio.test:8000"})

    assert an_access("", host="Studio.test").knows_host(request)


def test_another_password_or_key_ends_all_sessions() -> None:
    session = signed_in(an_access())

    assert comes_in(an_access(), session)
    assert not comes_in(an_access("changed"), session)
    assert not comes_in(an_access(key=b"x" * 32), session)


def test_the_session_cookie_is_secure_behind_https_only() -> None:
    access = an_access()
    response = web.Response()
    access.sign_in(make_mocked_request("POST", "/", headers={"X-Forwarded-Proto": "https"}), response)
    cookie = response.cookies[SESSION_COOKIE]

    assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Strict"


@pytest.mark.parametrize(("load", "least"), [(load_key, 32), (load_password, 24)])
@pytest.mark.parametrize("left", [None, "", "\n"])
def test_a_secret_is_made_once_and_for_its_owner(
    tmp_path: Path, load: Callable[[Path], bytes | str], least: int, left: str | None
) -> None:
    path = tmp_path / "data" / "secret"
    if left is not None:  # by a process that was killed, or by hand: it must open nothing
        path.parent.mkdir()
        path.write_text(left)
    made = load(path)

    assert len(made) >= least
    assert load(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["secret"]
    assert load(path.with_name("another")) != made


def test_a_password_written_by_hand_holds(tmp_path: Path) -> None:
    path = tmp_path / "admin.password"
    path.write_text(" my own pässword \r\n", encoding="utf-8")

    assert load_password(path) == "my own pässword"


def test_a_password_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "admin.password"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(EaselError, match="is not text: remove it"):
        load_password(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(EaselError, match="cannot be used"):
        load_password(path)
