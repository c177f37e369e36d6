"""The administrator's page over HTTP: who may, what is shown, and what its forms do."""

from __future__ import annotations

import csv
import html
import io
import re
import stat
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from yarl import URL

from bot import telemetry
from bot.adapters.web.admin_pages import NOTICES, SECTIONS, Notice, Notices
from bot.models import INSTANCE, AuditLine, State
from bot.surfaces import Settings
from tests.examples import a_line
from tests.web import EVENT, Person, WebHouse, web_house

EVIL = '<img src=x onerror="alert(1)"> & </script><script>alert(2)</script>'
READS = [href for _, href, _ in SECTIONS] + [
    "/admin/people/web:ana",
    "/admin/ledger.csv",
    "/admin/pictures/x/y.png",
]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[WebHouse]:
    async with web_house(tmp_path) as house:
        yield house


@pytest.fixture
async def admin(house: WebHouse) -> Person:
    return await house.admin()


# --- who may ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "members"])
async def test_every_route_for_every_role(tmp_path: Path, password: str) -> None:
    async with web_house(tmp_path, password=password) as house:
        member, admin = house.person("Ben"), await house.admin()
        await member.post("/login", data={"name": "Ben", "password": password})
        outside = [member, house.person()]  # with a password, the second one is no member either
        for path in READS:
            image = "/pictures/" in path
            for person in outside:
                answer = await person.get(path)
                expected = (401, None) if image else (303, "/admin/login")
                assert (answer.status, answer.headers.get("Location")) == expected, path
            assert (await admin.get(path)).status == (404 if image else 200), path
        form = {"command": "admin pause", "event": EVENT, "next": "/admin"}
        for path in ("/admin/do", "/admin/logout"):
            for person in outside:
                answer = await person.post(path, data=form)
                assert answer.status == 401 and "/admin/login" in await answer.text(), path
        assert not (await house.store.policy(INSTANCE)).paused
        assert (await admin.post("/admin/do", data=form)).status == 303
        assert (await house.store.policy(INSTANCE)).paused
        # The administrator needs no second password for the studio itself; the others' session is theirs.
        assert (await admin.get("/")).status == 200
        assert 'href="/admin"' in await member.page()
        assert "Leave administration" not in await member.page()


async def test_a_member_s_session_is_no_administrator_s(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="same", admin_password="same") as house:
        member = house.person()
        answer = await member.post("/login", data={"name": "Ben", "password": "same"})
        stolen = answer.cookies["easel_session"].value
        assert (await member.get("/admin", cookies={"easel_admin": stolen})).status == 303


async def test_a_piece_of_a_page_is_no_login_page(house: WebHouse) -> None:
    answer = await house.person("Ana").get("/admin", headers={"X-Easel-Part": "1"})

    assert answer.status == 401


async def test_nobody_is_an_administrator_without_the_login_not_even_on_this_machine(house: WebHouse) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    job = await house.painted(ana, "a fox")
    assert not job.origin.member.admin
    for text in ("/admin pause", "/admin review", "/admin gift web:ana 60"):
        response = await ana.send(text)
        assert response.status == 422 and "Only an administrator" in await response.text(), text
    assert (await ben.press(f"v1:delete:{job.id}")).status == 422
    for password in ("", "guess", "boss "):
        assert await ana.enter(password, "Ana") == 403
    answer = await ana.post("/admin/login", data={"name": '"Ada"', "password": "guess"})
    assert 'value="&#34;Ada&#34;"' in await answer.text()  # what was typed is kept, but for the password

    assert await ana.enter("boss", "Ana") == 303
    assert (await ana.get("/admin/login")).headers["Location"] == "/admin"
    assert (await ana.send("/admin pause")).status == 200
    assert (await ana.post("/admin/logout")).status == 303
    assert (await ana.get("/admin")).headers["Location"] == "/admin/login"


# --- the password that Easel makes ------------------------------------------------------------------------


def password_in(folder: Path) -> str:
    return (folder / "admin.password").read_text().strip()


async def test_a_password_is_made_kept_and_readable_by_its_owner_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry.set_up(Settings(log_level="debug"), sys.stderr)
    async with web_house(tmp_path, admin_password="") as house:
        made = password_in(tmp_path)
        assert len(made) >= 24
        assert stat.S_IMODE((tmp_path / "admin.password").stat().st_mode) == 0o600
        assert house.adapter.office == (
            f"The administrator's page is {house.url}/admin; "
            f"its password is stored in {tmp_path}/admin.password"
        )
        assert await house.person().enter("") == 403
        admin = house.person()
        assert await admin.enter(made) == 303
        assert (await admin.get("/admin")).status == 200
        session = admin.session.cookie_jar.filter_cookies(URL(house.url))["easel_admin"].value
    async with web_house(tmp_path, admin_password="") as house:
        assert password_in(tmp_path) == made
        person = house.person()
        assert (await person.get("/admin", cookies={"easel_admin": session})).status == 200
        assert await person.enter("guess") == 403
    out, err = capfd.readouterr()
    assert "the web studio is open" in err
    assert made not in out + err


async def test_the_setting_wins_over_the_file(tmp_path: Path) -> None:
    async with web_house(tmp_path, admin_password="") as house:
        made = password_in(tmp_path)
    async with web_house(tmp_path, admin_password="boss") as house:
        assert house.adapter.office.endswith("its password is stored in WEB_ADMIN_PASSWORD")
        assert await house.person().enter(made) == 403
        assert await house.person().enter("boss") == 303


async def test_with_the_setting_no_file_is_made(house: WebHouse, tmp_path: Path) -> None:
    assert not (tmp_path / "admin.password").exists()


# --- guessing, and other sites ----------------------------------------------------------------------------


async def test_guessing_is_braked_and_does_not_lock_members_out(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="members") as house:
        person = house.person()
        assert [await person.enter("guess") for _ in range(6)] == [403] * 5 + [429]
        assert await person.enter("boss") == 429
        answer = await person.post("/login", data={"name": "Ben", "password": "members"})
        assert answer.status == 303


async def test_the_administrator_s_cookie_is_kept_from_scripts_and_other_sites(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        person = house.person()
        answer = await person.post("/admin/login", data={"name": "Ada", "password": "boss"})
        cookie = answer.cookies["easel_admin"]
        assert cookie["httponly"] and cookie["samesite"] == "Strict"
        assert await house.person().enter("boss", name="\u200b") == 422


async def test_other_sites_cannot_press(house: WebHouse) -> None:
    form = {"command": "admin pause", "event": EVENT}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await house.person("Ana").post("/admin/do", data=form, headers=headers)
        assert answer.status == 403
    assert not (await house.store.policy(INSTANCE)).paused


# --- the queue --------------------------------------------------------------------------------------------


async def test_a_waiting_job_is_held_released_relaxed_and_cancelled(tmp_path: Path) -> None:
    async with web_house(tmp_path, step_seconds=0.05) as house:
        ana, admin = house.person("Ana"), await house.admin()
        await ana.send("a long one --steps 100")
        await ana.send("a fox")
        (job,) = [each for each in await house.jobs() if each.prompt == "a fox"]

        assert "is on hold" in await admin.do("admin job", job=job.id, do="hold")
        page = await admin.page("/admin")
        assert "Release" in page and "on hold" in page
        assert "back in the queue" in await admin.do("admin job", job=job.id, do="release")
        assert "free now" in await admin.do("admin job", job=job.id, do="relax")
        stored = await house.store.job(job.id)
        assert stored and stored.relaxed
        assert "is cancelled" in await admin.do("admin job", job=job.id, do="cancel")
        assert (await house.until(job.id, State.CANCELLED)).device_seconds == 0
        assert "ended already" in await admin.do("admin job", job=job.id, do="cancel")
        lines = await house.store.audit()
        assert [line.after for line in lines] == ["cancelled", "relaxed", "released", "on hold"]
        assert {(line.by, line.tenant, line.surface) for line in lines} == {("web:ada", INSTANCE, "web")}


async def test_private_words_are_never_shown_to_an_administrator(tmp_path: Path) -> None:
    async with web_house(tmp_path, step_seconds=0.05) as house:
        ana = house.person("Ana")
        await ana.send("xylophone one --private --steps 100")
        await ana.send("xylophone two --private")
        for path in ("/admin", "/admin/people", "/admin/people/web:ana", "/admin/audit"):
            assert "xylophone" not in await (await house.admin()).page(path), path
        assert (await (await house.admin()).page("/admin")).count("</svg>a private image</i>") == 2


# --- people -----------------------------------------------------------------------------------------------


async def test_people_are_found_given_to_and_blocked(house: WebHouse, admin: Person) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    await house.painted(ana, "a fox")
    await house.painted(ben, "a whale")

    page = await admin.page("/admin/people?search=an")
    assert "web:ana" in page and "web:ben" not in page
    there = "/admin/people/web:ana"
    page = await admin.do("admin person gift", there, person="web:ana", seconds="120")
    assert "has 120 GPU seconds more" in page and "0 of 120 GPU seconds used" in page
    page = await admin.do("admin quota person", there, person="web:ana", seconds="77", per="week")
    assert "may use 77 GPU seconds a week" in page and "of 77 GPU seconds used this week" in page
    page = await admin.do("admin tier person", there, person="web:ana", tier="team", place="web:local")
    assert "Tier: <b>Team</b>" in page
    page = await admin.do("admin person block", there, person="web:ana", hours="2", reason="spam")
    assert "Blocked" in page and "spam." in page
    response = await ana.send("a fox")
    assert response.status == 422 and "spam" in await response.text()
    page = await admin.do("admin person unblock", there, person="web:ana")
    assert "May ask for images" in page
    assert "blocked" not in await admin.page("/admin/people")
    assert (await ana.send("a fox")).status == 200


@pytest.mark.parametrize("seconds", ["-5", "nan", "inf", "1e99", "many", ""])
async def test_a_gift_of_nonsense_is_one_sentence(house: WebHouse, admin: Person, seconds: str) -> None:
    page = await admin.do("admin person gift", person="web:ana", seconds=seconds)

    assert 'class="notice problem"' in page and 'role="alert"' in page
    assert await house.store.audit() == []


async def test_the_same_form_twice_gives_once(house: WebHouse, admin: Person) -> None:
    form = {"command": "admin person gift", "person": "web:ana", "seconds": "60", "event": EVENT}
    for _ in range(2):
        assert (await admin.post("/admin/do", data=form)).status == 303
    assert [line.what for line in await house.store.audit()] == ["admin person gift"]


async def test_somebody_unknown_has_a_page_to_be_blocked_on(house: WebHouse, admin: Person) -> None:
    page = await admin.page("/admin/people/discord:123")

    assert "discord:123" in page and "None." in page


# --- places, reports, records -----------------------------------------------------------------------------


async def test_a_place_has_budgets_and_rules(house: WebHouse, admin: Person) -> None:
    ana = house.person("Ana")
    await house.painted(ana, "a fox")
    there = "/admin/places?place=web:local"
    page = await admin.do("admin quota budget", there, place="web:local", seconds="900", per="week")
    assert "of 900 GPU seconds used this week" in page
    page = await admin.do("admin set styles", there, place="web:local", style="3d", rule="refuse")
    assert "Refused: 3d" in page
    assert "3d" in (await house.store.policy("web:local")).styles.refused
    assert not (await house.store.policy(INSTANCE)).styles.refused
    assert (await admin.get("/admin/places?place=nowhere")).status == 200


async def test_a_report_is_decided(house: WebHouse, admin: Person) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    kept, removed, other = [await house.painted(ana, f"fox {n} --count 1") for n in range(3)]
    for job in (kept, removed):
        assert (await ben.press(f"v1:report:{job.id}")).status == 200
    page = await admin.page("/admin/reviews")
    assert "fox 0" in page and "fox 1" in page and "fox 2" not in page
    url = re.findall(r'src="(/admin/pictures/[^"]+)"', page)[0]
    assert (await admin.get(url)).content_type == "image/png"
    blob = other.pictures[0].blob
    assert (await admin.get(f"/admin/pictures/{other.id}/{blob}")).status == 404
    assert (await admin.get(f"/admin/pictures/{kept.id}/{blob}")).status == 404

    await admin.do("admin decide", job=kept.id, do="keep")
    page = await admin.do("admin decide", "/admin/reviews", job=removed.id, do="remove")
    assert "No open reports" in page
    states = [(await house.store.job(job.id)) for job in (kept, removed)]
    assert [job.state for job in states if job] == [State.RENDERED, State.DELETED]
    assert "Strike: removed" in await admin.page("/admin/people/web:ana")


async def test_the_audit_is_searched_and_paged(house: WebHouse, admin: Person) -> None:
    for number in range(65):
        line = AuditLine(
            at=datetime.now(UTC),
            by="web:ada",
            name="Ada",
            surface="web",
            tenant=INSTANCE,
            what=f"line {number};",
        )
        await house.store.note(line)
    seen: list[str] = []
    for page in range(3):
        seen += re.findall(r"line (\d+);", await admin.page(f"/admin/audit?page={page}"))
    assert seen == [str(number) for number in range(64, -1, -1)]
    assert "Older" not in await admin.page("/admin/audit?page=2")
    assert re.findall(r"line (\d+);", await admin.page("/admin/audit?search=line 63")) == ["63"]
    assert (await admin.get("/admin/audit?page=999999999999999999")).status == 200


async def test_the_ledger_is_streamed_as_csv_without_formulas(house: WebHouse, admin: Person) -> None:
    ana = house.person("Ana")
    job = await house.painted(ana, "a fox")
    await house.store.gift("=cmd|' /C calc'!A0", 5, a_line("@SUM(A1)"), "+1")
    answer = await admin.get("/admin/ledger.csv?days=1")
    rows = list(csv.DictReader(io.StringIO(await answer.text())))

    assert answer.content_type == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    assert {row["kind"] for row in rows} >= {"hold", "charge", "gift"}
    assert {row["job"] for row in rows} == {job.id, ""}
    gift = next(row for row in rows if row["kind"] == "gift")
    assert (gift["account"][:2], gift["by"]) == ("'=", "'@SUM(A1)")
    for days in ("0", "-1", "x", "9" * 18):
        assert (await admin.get(f"/admin/ledger.csv?days={days}")).status == 200


async def test_health_names_versions_and_checks_the_books(house: WebHouse, admin: Person) -> None:
    await house.painted(house.person("Ana"), "a fox")

    page = await admin.page("/admin/health")
    assert "SQLite" in page and "memory" in page and "GB" in page and "agree" not in page
    assert "The database and the ledger agree." in await admin.page("/admin/health?check=1")


# --- what a form may hold ---------------------------------------------------------------------------------


async def test_what_people_typed_is_escaped_everywhere(house: WebHouse, admin: Person) -> None:
    evil = house.person(EVIL[:28])
    job = await house.painted(evil, EVIL)
    await house.person("Ben").press(f"v1:report:{job.id}")
    who = job.origin.member.id
    pages = [await admin.do("admin person block", person=who, reason=EVIL)]
    pages += [await admin.do(EVIL, EVIL, person=EVIL, place=EVIL)]
    pages += [await admin.page(path) for path in (*(href for _, href, _ in SECTIONS), f"/admin/people/{who}")]
    pages += [await admin.page(f"/admin/people?search={'<script>'}")]
    for page in pages:
        assert "<img src=x" not in page and "<script>" not in page


@pytest.mark.parametrize("there", ["https://evil.example", "//evil.example", "/line", "/admin\r\nX: y", ""])
async def test_a_form_leads_back_to_this_page_only(house: WebHouse, admin: Person, there: str) -> None:
    form = {"command": "admin pause", "event": EVENT, "next": there}
    answer = await admin.post("/admin/do", data=form)

    assert re.fullmatch(r"/admin\?said=[\w-]+", answer.headers["Location"])


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("imagine", "not an administrator"),
        ("admin nonsense", "There is no command"),
        ("", "not an administrator"),
    ],
)
async def test_a_form_runs_administrators_commands_only(
    house: WebHouse, admin: Person, command: str, sentence: str
) -> None:
    page = await admin.do(command, prompt="a fox")

    assert sentence in html.unescape(page)
    assert await house.jobs() == []


async def test_a_form_without_its_event_is_out_of_date(house: WebHouse, admin: Person) -> None:
    answer = await admin.post("/admin/do", data={"command": "admin pause"})

    assert "out of date" in await admin.page(answer.headers["Location"])
    assert "out of date" not in await admin.page(answer.headers["Location"])  # shown once
    assert not (await house.store.policy(INSTANCE)).paused


async def test_pages_carry_no_inline_script_or_style(house: WebHouse, admin: Person) -> None:
    await house.painted(house.person("Ana"), "a fox")
    for path in READS[:-2]:
        page = await admin.page(path)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path


def test_notices_are_shown_once_and_are_not_kept_for_ever() -> None:
    notices = Notices()
    notice = Notice("done", "", ("Paused.",))
    tokens = [notices.keep(notice) for _ in range(NOTICES + 1)]

    assert notices.take(tokens[0]) is None
    assert (notices.take(tokens[1]), notices.take(tokens[1])) == (notice, None)
