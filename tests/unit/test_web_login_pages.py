"""Coming into the web studio as somebody, and being that somebody alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from bot.accounts.logins import member_named
from bot.errors import Refusal, StoreError
from bot.messages.types import Card
from bot.models import INSTANCE, Job, Member, Origin, State
from bot.store import Store
from tests.databases import unfinished
from tests.web import PATIENCE, Person, WebHouse, web_house

ADA = Member(tenant="discord:1", id="discord:7", name="Ada", roles=("42",))
BEN = Member(tenant="discord:1", id="discord:8", name="Ben")
OUTSIDE = "http://studio.example.org"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[WebHouse]:
    """A studio that people reach by an address of its own, and come into by links alone."""
    async with web_house(tmp_path, web_url=OUTSIDE) as house:
        yield house


def asks(member: Member, event: str = "event-1", surface: str = "discord") -> Origin:
    return Origin(surface=surface, member=member, channel="general", event=event)


async def link_for(house: WebHouse, member: Member = ADA) -> str:
    answer = await house.easel.router.handle("studio", {}, asks(member))
    assert isinstance(answer, Card) and answer.private
    return answer.link


async def logged_in(house: WebHouse, member: Member = ADA) -> Person:
    person = house.person()
    answer = await person.open_link(await link_for(house, member))
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    return person


def cookie_of(person: Person) -> str:
    return person.session.cookie_jar.filter_cookies(URL(person.url))["easel_session"].value


async def private_job(house: WebHouse, person: Person, text: str = "a secret fox") -> Job:
    response = await person.send(f"{text} --private --count 1")
    assert response.status == 200, await response.text()
    (job,) = await unfinished(house.store) or await house.store.recent((await me(house, person)).id, limit=1)
    return await house.until(job.id, State.RENDERED)


async def me(house: WebHouse, person: Person) -> Member:
    found = re.search(r'data-me="([^"]+)"', await person.page())
    assert found
    return Member(tenant="web:local", id=found[1], name="")


# --- links ------------------------------------------------------------------------------------------------


async def test_a_link_from_chat_logs_in_as_that_person_once(house: WebHouse) -> None:
    link = await link_for(house)
    assert re.fullmatch(rf"{OUTSIDE}/login/link/[0-9a-f]{{64}}", link)
    person = house.person()

    answer = await person.open_link(link)

    cookie = answer.cookies["easel_session"]
    assert cookie["httponly"] and cookie["samesite"] == "Strict"
    page = await person.page()
    assert 'data-me="discord:7"' in page and ">Ada<" in page
    second = house.person()
    assert (await second.open_link(link)).status == 410
    assert (await second.get("/")).status == 303


async def test_the_cookie_is_secure_where_the_studio_has_https(tmp_path: Path) -> None:
    async with web_house(tmp_path, web_url="https://studio.example.org") as house:
        path = URL(await link_for(house)).path
        answer = await house.person().post(path, headers={"Host": "studio.example.org"})

        assert answer.status == 303 and answer.cookies["easel_session"]["secure"]


async def test_what_only_fetches_a_link_uses_nothing_up(house: WebHouse) -> None:
    path = URL(await link_for(house)).path
    for _ in range(3):  # Slack, Discord and a virus scanner
        preview = await house.person().get(path)
        assert preview.status == 200 and "Log in as Ada" in await preview.text()
        assert "Set-Cookie" not in preview.headers
    assert (await house.person().session.head(path)).status == 200

    assert (await house.person().open_link(path)).status == 303


async def test_another_site_cannot_log_anybody_in(house: WebHouse) -> None:
    path = URL(await link_for(house)).path
    answer = await house.person().post(path, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status == 403
    assert (await house.person().open_link(path)).status == 303


async def test_two_browsers_that_press_at_once_are_not_both_let_in(house: WebHouse) -> None:
    path = URL(await link_for(house)).path
    people = [house.person() for _ in range(8)]
    answers = await asyncio.gather(*(person.post(path) for person in people))

    assert sorted(answer.status for answer in answers) == [303] + [410] * 7


async def test_a_newer_link_ends_the_older_one(house: WebHouse) -> None:
    older, newer = await link_for(house), await link_for(house)

    assert (await house.person().open_link(older)).status == 410
    assert (await house.person().open_link(newer)).status == 303


async def test_a_link_lasts_ten_minutes_and_a_session_thirty_days(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db", clock=lambda: now)
    try:
        await store.save_link("link", ADA, timedelta(minutes=10))
        now += timedelta(minutes=9, seconds=59)
        assert await store.link_of("link") == ADA
        now += timedelta(seconds=1)
        assert await store.link_of("link") is None
        assert await store.use_link("link", "session", "Firefox", timedelta(days=30)) is None
        await store.open_session("session", ADA, "Firefox", timedelta(days=30))
        now += timedelta(days=29)
        login = await store.session("session")
        assert login and login.member == ADA
        assert [each.used for each in await store.sessions_of(ADA.id)] == [now]
        now += timedelta(days=1)
        assert await store.session("session") is None
        assert await store.sessions_of(ADA.id) == []
    finally:
        await store.close()


async def test_neither_a_link_nor_a_cookie_is_kept(house: WebHouse, tmp_path: Path) -> None:
    secret = URL(await link_for(house)).name
    person = await logged_in(house)
    kept = b"".join(
        path.read_bytes() for path in await asyncio.to_thread(lambda: [*tmp_path.glob("easel.db*")])
    )

    assert b"web_sessions" in kept and b"discord:7" in kept
    assert secret.encode() not in kept and cookie_of(person).encode() not in kept


async def test_a_link_is_not_logged(
    house: WebHouse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = URL(await link_for(house)).path

    async def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(house.store, "use_link", broken)
    assert (await house.person().post(path)).status == 503
    out, err = capfd.readouterr()
    assert "the disk is full" in out + err and URL(path).name not in out + err


async def test_the_person_has_the_history_quota_and_private_pictures_that_they_have_in_chat(
    house: WebHouse,
) -> None:
    origin = Origin(surface="web", member=ADA, channel="studio", event="before", private=True)
    await house.easel.router.handle("imagine", {"prompt": "a hidden owl --count 1"}, origin)
    ada, ben = (
        await logged_in(house),
        await logged_in(house, BEN),
    )
    (job,) = await house.store.recent(ADA.id, limit=1)
    await house.until(job.id, State.RENDERED)

    assert "a hidden owl" in await ada.page() and "a hidden owl" in await ada.page("/gallery")
    assert "a hidden owl" not in await ben.page() + await ben.page("/gallery")
    assert (await ben.get(f"/jobs/{job.id}")).status == 404
    job = await private_job(house, ada)
    assert (job.origin.member.tenant, job.origin.member.id) == ("discord:1", "discord:7")
    assert job.origin.member.roles == ("42",) and not job.origin.member.admin
    assert await house.store.account_of(job.origin.member.id) == job.account == "discord:7"


async def test_an_administrator_in_chat_is_none_in_the_studio(house: WebHouse) -> None:
    boss = Member(tenant="discord:1", id="discord:9", name="Boss", admin=True)
    person = await logged_in(house, boss)

    assert (await person.get("/admin")).status == 303
    assert (await person.send("/admin gift discord:9 600")).status == 422


async def test_studio_is_for_chat_and_says_where_there_is_no_address(tmp_path: Path) -> None:
    async with web_house(tmp_path, web_host="0.0.0.0", password="secret") as house:
        with pytest.raises(Refusal, match="no address that people can open"):
            await link_for(house)
        with pytest.raises(Refusal, match="from Discord or Slack"):
            await house.easel.router.handle("studio", {}, asks(ADA, surface="web"))


async def test_on_loopback_a_link_says_that_it_opens_there_alone(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        answer = await house.easel.router.handle("studio", {}, asks(ADA))
        assert isinstance(answer, Card)
        assert answer.link.startswith(house.url)
        assert "on the machine that Easel runs on, and nowhere else" in answer.body[-1]
        person = house.person("Ana")
        assert (await person.open_link(answer.link)).status == 303
        assert 'data-me="discord:7"' in await person.page()
        assert (await person.post("/name", data={"name": "Ben"})).status == 403


# --- invitations ------------------------------------------------------------------------------------------


def link_in(page: str) -> str:
    found = re.search(r"https?://\S+?/login/link/[0-9a-f]{64}", page)
    assert found, page
    return found[0]


async def test_an_operator_invites_on_the_page_and_the_same_name_is_the_same_person(house: WebHouse) -> None:
    admin = await house.admin()
    first, again, ben = house.person(), house.person(), house.person()
    await first.open_link(link_in(await admin.do("admin person invite", "/admin/people", name="Ana María")))
    await again.open_link(link_in(await admin.do("admin person invite", "/admin/people", name="ana maría")))
    await ben.open_link(link_in(await admin.do("admin person invite", "/admin/people", name="Ben")))

    job = await private_job(house, first)
    assert job.account == job.origin.member.id == "web:ana-maría"
    assert (await again.get(f"/jobs/{job.id}")).status == 200
    assert (await ben.get(f"/jobs/{job.id}")).status == 404
    (line, *_) = await house.store.audit(INSTANCE, search="invite")
    assert (line.what, line.target) == ("admin person invite", "web:ben")


async def test_only_operators_invite(house: WebHouse) -> None:
    for admin in (False, True):
        member = Member(tenant="discord:1", id="discord:9", name="Boss", admin=admin)
        with pytest.raises(Refusal):
            await house.easel.router.handle("admin person invite", {"name": "Eve"}, asks(member))


@pytest.mark.parametrize("name", ["", "\u200b", "x" * 33])
async def test_a_name_that_is_none_is_not_invited(house: WebHouse, name: str) -> None:
    page = await (await house.admin()).do("admin person invite", "/admin/people", name=name)

    assert "/login/link/" not in page and 'role="alert"' in page


# --- names and guests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{"web_url": OUTSIDE}, {"password": "secret"}])
async def test_nobody_takes_a_name_where_people_log_in(tmp_path: Path, more: dict[str, Any]) -> None:
    async with web_house(tmp_path, **more) as house:
        ana = (
            await logged_in(house, member_named("Ana", admin=False)) if "web_url" in more else house.person()
        )
        if "password" in more:
            await ana.post("/login", data={"name": "Ana", "password": "secret"})
        job = await private_job(house, ana)
        eve = house.person("Ana")  # with the cookie of that name
        assert (await eve.get("/")).status == 303
        if "password" in more:
            await eve.post("/login", data={"name": "Ana", "password": "secret"})
        else:
            assert (await eve.post("/login", data={"name": "Ana", "password": ""})).status == 403
            eve = await logged_in(house, Member(tenant="web:local", id="web:eve", name="Eve"))
        assert (await eve.post("/name", data={"name": "Ana"})).status == 403
        assert (await eve.get(f"/jobs/{job.id}")).status == 404
        assert (await eve.get(f"/pictures/{job.id}/{job.pictures[0].blob}")).status == 404
        assert (await eve.press(f"v1:delete:{job.id}")).status == 422
        assert (await ana.get(f"/jobs/{job.id}")).status == 200


async def test_an_administrator_is_nobody_else_where_people_log_in(house: WebHouse) -> None:
    ana = await logged_in(house, member_named("Ana", admin=False))
    job = await private_job(house, ana)
    admin = await house.admin("Ana")

    assert (await admin.get("/")).status == 200
    assert (await admin.get(f"/jobs/{job.id}")).status == 404


async def test_a_guest_who_administrates_is_the_administrator_in_the_audit(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        guest = house.person()
        await guest.post("/login", data={"password": "secret"})
        assert await guest.enter("boss", "Boss") == 303
        await guest.do("admin pause")

        (line,) = await house.store.audit(INSTANCE)
        assert (line.by, line.name) == ("web:@administrator", "Boss")


async def test_guests_have_one_quota_and_their_own_pictures(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        first, second = house.person(), house.person()
        for person in (first, second):
            assert (await person.post("/login", data={"password": "secret"})).status == 303
        mine = await private_job(house, first)
        assert mine.account == "web:@guests" and mine.origin.member.id != mine.account
        assert (await second.get(f"/jobs/{mine.id}")).status == 404
        assert "a secret fox" not in await second.page() + await second.page(
            "/gallery?by=" + mine.origin.member.id
        )

        rules = await house.easel.access.rules(mine.origin.member)
        (balance, *_) = await house.store.balances(rules.account, rules.tier)
        assert balance.used > 0
        other = (await me(house, second)).id
        assert (
            await house.easel.access.rules(Member(tenant="web:local", id=other, name=""))
        ).account == rules.account
        exported = await second.send("/privacy export")
        assert exported.status == 200
        for line in ("/link", "/link ABCDE-FGHJK"):
            refused = await second.send(line)
            assert refused.status == 422
        assert await house.store.members_of("web:@guests") == ["web:@guests"]


async def test_a_guest_cannot_be_linked_from_the_other_side(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        guest = house.person()
        await guest.post("/login", data={"password": "secret"})
        code = await house.store.link_code(ADA.id)
        answer = await guest.send(f"/link {code}")
        assert answer.status == 422 and "Guests of the web studio share one account" in await answer.text()
        assert await house.store.account_of(ADA.id) == ADA.id
        assert await house.store.members_of("web:@guests") == ["web:@guests"]


async def test_logging_in_again_by_the_password_makes_nobody_new(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        guest = house.person()
        await guest.post("/login", data={"password": "secret"})
        before = await me(house, guest)
        await guest.post("/login", data={"password": "secret"})
        assert await me(house, guest) == before


# --- sessions ---------------------------------------------------------------------------------------------


async def test_logging_out_ends_the_session_on_the_server(house: WebHouse) -> None:
    person = await logged_in(house)
    stolen = cookie_of(person)
    assert (await person.post("/logout")).status == 303

    assert (await house.person().get("/", cookies={"easel_session": stolen})).status == 303
    assert await house.store.sessions_of(ADA.id) == []


async def test_leaving_administration_ends_it_on_the_server(house: WebHouse) -> None:
    admin = await house.admin()
    stolen = admin.session.cookie_jar.filter_cookies(URL(house.url))["easel_admin"].value
    assert (await admin.post("/admin/logout")).status == 303

    assert (await house.person().get("/admin", cookies={"easel_admin": stolen})).status == 303


async def test_sessions_are_listed_and_ended_one_by_one(house: WebHouse) -> None:
    here, there, stranger = [await logged_in(house) for _ in range(2)] + [await logged_in(house, BEN)]
    phone = house.person()
    await phone.get(URL(link := await link_for(house)).path)
    await phone.post(URL(link).path, headers={"User-Agent": FIREFOX})
    page = await here.page("/settings")
    assert page.count('name="id"') == 3 and "Firefox on Linux" in page and page.count("this browser") == 1
    (firefox,) = [each for each in await house.store.sessions_of(ADA.id) if "Firefox" in each.browser]

    await stranger.post("/settings/end", data={"id": firefox.id})  # not theirs
    assert (await phone.get("/")).status == 200
    await here.post("/settings/end", data={"id": firefox.id})
    assert (await phone.get("/")).status == 303
    assert (await there.get("/")).status == 200

    await here.post("/settings/end")
    assert [(await each.get("/")).status for each in (here, there, stranger)] == [303, 303, 200]


async def test_settings_in_chat_list_the_sessions_and_end_them(house: WebHouse) -> None:
    person = await logged_in(house)
    listed = await house.easel.router.handle("settings", {}, asks(ADA, "a"))
    assert isinstance(listed, Card)
    assert any(line.startswith("Logged in to the web studio: A browser, since 20") for line in listed.body)

    ended = await house.easel.router.handle("settings", {"logout": True}, asks(ADA, "b"))

    assert isinstance(ended, Card) and not any("Logged in" in line for line in ended.body)
    assert (await person.get("/")).status == 303


@pytest.mark.parametrize(("tenant", "ends"), [("discord:1", True), (INSTANCE, True), ("discord:2", False)])
async def test_a_block_ends_sessions_and_links_where_it_holds(
    house: WebHouse, tenant: str, ends: bool
) -> None:
    person, unused = await logged_in(house), await link_for(house)
    admin = await house.admin()
    await admin.do("admin person block", "/admin/people", person="discord:7", place=tenant)

    assert (await person.get("/")).status == (303 if ends else 200)
    assert (await house.person().open_link(unused)).status == (410 if ends else 303)
    if ends:
        with pytest.raises(Refusal, match="cannot use Easel"):
            await link_for(house)


async def test_deleting_ones_data_ends_every_session(house: WebHouse) -> None:
    person, other = await logged_in(house), await logged_in(house)
    asked = await house.easel.router.handle("privacy delete", {}, asks(ADA, "c"))
    assert isinstance(asked, Card)
    await house.easel.router.press(asked.rows[0][0].id, asks(ADA, "d"))

    assert [(await each.get("/")).status for each in (person, other)] == [303, 303]


async def test_a_session_that_ends_closes_its_open_page(house: WebHouse) -> None:
    here, there = await logged_in(house), await logged_in(house)
    async with there.events("") as events:
        await here.post("/settings/end")
        async with asyncio.timeout(PATIENCE):
            assert [event async for event in events if event.name == "card"] == []


async def test_one_person_may_have_sixteen_pages_open(house: WebHouse) -> None:
    person = await logged_in(house)
    ben = await logged_in(house, BEN)
    streams = [await person.session.get("/api/events") for _ in range(16)]
    assert {stream.status for stream in streams} == {200}

    assert (await person.get("/api/events")).status == 429
    other = await ben.session.get("/api/events")
    assert other.status == 200
    for stream in (*streams, other):
        stream.close()


# --- this machine alone -----------------------------------------------------------------------------------


async def test_an_open_studio_says_that_everyone_here_sees_everything(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        ana = house.person("Ana")
        page = await ana.page()
        assert "Everyone at this machine sees everything, private images too." in page
        assert "only this name" in page and "only you" not in page
        answer = await ana.send("a fox --private --count 1")
        assert "Everyone at this machine sees everything" in (await answer.json())["card"]
        assert "card" not in await (await ana.send("a fox --count 1")).json()
        assert "Nobody logs in on this machine" in await ana.page("/settings")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_an_open_studio_is_not_served_through_a_proxy(tmp_path: Path, header: str) -> None:
    async with web_house(tmp_path) as house:
        answer = await house.person().get("/", headers={header: "203.0.113.9"})
        assert answer.status == 421 and "set WEB_URL" in await answer.text()


async def test_a_studio_behind_a_proxy_is_known_by_its_name(house: WebHouse) -> None:
    headers = {"Host": "studio.example.org", "X-Forwarded-For": "203.0.113.9"}

    assert (await house.person().get("/", headers=headers)).headers["Location"] == "/login"


# --- guessing ---------------------------------------------------------------------------------------------


async def test_one_guesser_behind_a_proxy_keeps_nobody_else_out(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        eve = house.person()
        guesses = [(await eve.post("/login", data={"password": "guess"})).status for _ in range(6)]
        assert guesses == [403] * 5 + [429]

        assert (await house.person().post("/login", data={"password": "secret"})).status == 303


async def test_one_address_has_twenty_guesses_whatever_its_cookies(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret", web_proxies=("127.0.0.1",)) as house:
        known = house.person()
        assert (await known.post("/login", data={"password": "secret"})).status == 303
        await known.post("/logout")
        bad, good = {"data": {"password": "guess"}}, {"data": {"password": "secret"}}
        eve, far = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}
        statuses = [(await house.person().post("/login", headers=eve, **bad)).status for _ in range(21)]
        assert statuses == [403] * 20 + [429]

        assert (await house.person().post("/login", headers=eve, **good)).status == 429
        assert (await house.person().post("/login", headers=far, **good)).status == 303
        assert (await known.post("/login", headers=eve, **good)).status == 303


@pytest.mark.parametrize(
    ("next", "there"),
    [
        ("/brush/1a2b3c4d5e6f/2", "/brush/1a2b3c4d5e6f/2"),
        ("https://elsewhere.example/brush/1a2b/1", "/"),
        ("//elsewhere.example/brush/1a2b/1", "/"),
        ("/brush/../admin/1", "/"),
        ("/admin", "/"),
    ],
)
async def test_a_link_leads_to_the_brush_and_nowhere_else(next: str, there: str, house: WebHouse) -> None:
    path = URL(await link_for(house)).path
    answer = await house.person().post(str(URL(path).with_query(next=next)))

    assert (answer.status, answer.headers["Location"]) == (303, there)


async def test_the_brush_is_for_those_who_see_the_picture(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        ana, ben = house.person("Ana"), house.person("Ben")
        job = await house.painted(ana, "a red fox --private --count 1")

        assert (await ana.get(f"/brush/{job.id}/1")).status == 200
        assert (await ana.get(f"/brush/{job.id}/2")).status == 404
        assert (await ben.get(f"/brush/{job.id}/1")).status == 404
        assert (await ana.get("/brush/1a2b3c4d5e6f/1")).status == 404
