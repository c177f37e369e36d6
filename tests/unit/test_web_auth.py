"""Names, sessions, and the brake on guessing."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bot.accounts.logins import Logins, clean_name, slug
from bot.adapters.web.auth import Guesses, WebAuth, load_key, load_password
from bot.attempts import Attempts
from bot.errors import EaselError
from bot.settings import Secret
from bot.surfaces import Settings


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
    attempts = Attempts(limit=2, seconds=60, names=2)
    for address in ("1", "1", "2"):
        attempts.note(address)

    assert attempts.exhausted("1")
    assert not attempts.exhausted("2")
    assert not attempts.exhausted("3")


def test_attempts_are_forgotten_with_time_and_with_too_many_addresses() -> None:
    forgetful = Attempts(limit=1, seconds=0)
    forgetful.note("1")
    assert not forgetful.exhausted("1")
    crowded = Attempts(limit=1, names=2)
    for address in ("1", "2", "3"):
        crowded.note(address)
    assert not crowded.exhausted("1")
    assert crowded.exhausted("3")


def an_access(password: str = "secret", **changes: Any) -> WebAuth:
    settings = Settings(web_password=Secret(password), **changes)
    store: Any = None  # of which nothing is asked here
    return WebAuth(Logins(store, settings.web_address), settings, "boss", b"k" * 32)


def test_a_password_of_odd_bytes_opens_nothing() -> None:
    access = an_access("sécret")

    assert access.opens("sécret")
    assert not access.opens("\udcff")
    assert not an_access("").opens("")


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
    request = make_mocked_request("GET", "/", headers={"Host": "LOCALHOST:8000"})

    assert an_access("", web_host="localhost").knows_host(request)


PROXIED = ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.7"], "203.0.113.9"),  # anybody's word
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),  # what stands left was sent by the client
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("::1", ["[2001:db8:1:2:3:4:5:6]:80"], "2001:db8:1:2::/64"),
    ],
)
def test_an_address_is_the_last_hop_that_is_no_proxy_of_ours(
    peer: str, forwarded: list[str], address: str
) -> None:
    access = an_access(web_proxies=PROXIED)
    transport = Mock(**{"get_extra_info.return_value": (peer, 4711)})
    headers = CIMultiDict(("X-Forwarded-For", each) for each in forwarded)

    assert access.address(make_mocked_request("GET", "/", headers=headers, transport=transport)) == address


def test_guesses_stop_the_browser_then_the_address_and_nobody_who_has_been_in() -> None:
    guesses = Guesses()
    for _ in range(5):
        guesses.failed("one", "here")

    assert guesses.stops("one", "here", known=False) and guesses.stops("one", "there", known=True)
    assert not guesses.stops("two", "here", known=False)
    for number in range(15):
        guesses.failed(f"fresh {number}", "here")
    assert guesses.stops("two", "here", known=False)
    assert not guesses.stops("two", "here", known=True)
    assert not guesses.stops("two", "there", known=False)


def test_guesses_from_many_addresses_are_few_together() -> None:
    guesses = Guesses()
    for number in range(100):
        guesses.failed(f"browser {number}", f"address {number}")

    assert guesses.stops("new", "new", known=False)
    assert not guesses.stops("new", "new", known=True)


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
