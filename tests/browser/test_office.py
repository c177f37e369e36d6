"""An administrator's day, done in a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from bot.models import INSTANCE, State
from tests.browser.conftest import PATIENCE, OpenPage
from tests.web import ADMIN_PASSWORD, WebHouse, web_house

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SECTIONS = ("", "/people", "/people/web:ana", "/usage", "/places", "/reviews", "/audit", "/health")
LONG = "a long landscape --steps 100 --count 1"  # far longer than all that follows takes


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[WebHouse]:
    """The parameter is the seconds of a step."""
    step = getattr(request, "param", 0.0)
    async with web_house(tmp_path, step_seconds=step) as house:
        yield house


slow = pytest.mark.parametrize("house", [1.0], indirect=True, ids=["slow"])


async def enter(page: Page, there: str = "/admin") -> None:
    await page.goto("/admin/login")
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("Administrator's password").fill(ADMIN_PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    if there != "/admin":
        await page.goto(there)


async def press_twice(page: Page, name: str) -> None:
    """What cannot be undone asks once more."""
    await page.get_by_role("button", name=name).click()
    await page.get_by_role("button", name=f"Sure? {name}").click()


async def test_nobody_comes_in_without_the_password(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await page.get_by_role("link", name="Admin").click()
    await expect(page).to_have_url(f"{house.url}/admin/login")
    await page.get_by_label("Administrator's password").fill("guess")
    async with page.expect_response("**/admin/login") as answered:
        await page.get_by_role("button", name="Log in").click()
    assert (await answered.value).status == 403
    await expect(page.get_by_role("alert")).to_contain_text("not the administrator's password")
    await enter(page)

    await page.get_by_role("button", name="You are Ada").click()
    await page.get_by_role("button", name="Leave administration").click()
    await expect(page.get_by_role("button", name="You are Ada")).to_be_visible()
    assert (await page.request.get("/admin")).url.endswith("/admin/login")


@slow
async def test_a_job_is_cancelled_from_the_queue(house: WebHouse, visit: OpenPage) -> None:
    await house.person("Ana").send(LONG)
    page = await visit()
    await enter(page)
    await press_twice(page, "Cancel the job of Ana")

    await expect(page.get_by_role("status").first).to_contain_text("is cancelled")
    (job,) = await house.jobs()
    assert (await house.until(job.id, State.CANCELLED)).device_seconds == 0
    await expect(page.locator(".entry")).to_have_count(0)


@pytest.mark.parametrize("house", [0.05], indirect=True, ids=["steps"])
async def test_what_waits_stays_in_line_during_a_pause(house: WebHouse, visit: OpenPage) -> None:
    ana = house.person("Ana")
    await ana.send("a first fox --count 1 --steps 60")
    await ana.send("a second fox --count 1 --steps 1")
    page = await visit()
    await enter(page)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("Waiting jobs keep their place.")).to_be_visible()
    response = await ana.send("a third fox")
    assert response.status == 422 and "paused" in await response.text()

    first, second = sorted(await house.jobs(), key=lambda job: job.created)
    await house.until(first.id, State.RENDERED)
    await expect(page.locator(".entry", has_text="a second fox")).to_contain_text("on hold")
    await expect(page.locator(".entry")).to_have_count(1)  # the queue is shown as it is now
    held = await house.store.job(second.id)
    assert held and held.state is State.QUEUED
    await page.get_by_role("button", name="Resume").click()
    await house.until(second.id, State.RENDERED)
    await expect(page.get_by_text("The queue is empty.")).to_be_visible()


async def test_a_gift_appears_in_the_balance_and_in_the_audit(house: WebHouse, visit: OpenPage) -> None:
    ana = house.person("Ana")
    await house.painted(ana, "a red fox --count 1")
    page = await visit()
    await enter(page, "/admin/people")
    await page.get_by_role("searchbox", name="Name or id").fill("an")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="Ana").click()
    await page.get_by_label("GPU seconds to give").fill("250")
    await page.get_by_role("button", name="Give").click()
    await expect(page.get_by_role("progressbar", name="Gifts: 0 of 250 GPU seconds used")).to_be_visible()

    await page.get_by_role("link", name="Audit").click()
    await expect(page.locator(".audit li")).to_contain_text("admin person gift")
    hers = await visit("Ana")
    await expect(hers.locator(".panel [data-quota]")).to_contain_text("0 of 250 GPU seconds used")


async def test_a_blocked_person_is_told_why(house: WebHouse, visit: OpenPage) -> None:
    await house.painted(house.person("Ana"), "a red fox --count 1")
    page = await visit()
    await enter(page, "/admin/people/web:ana")
    await page.get_by_label("Hours").fill("3")
    await page.get_by_label("Reason").fill("Too many foxes")
    await press_twice(page, "Block")
    await expect(page.get_by_role("button", name="Unblock")).to_be_visible()

    hers = await visit("Ana")
    await hers.fill("#text", "another fox")
    await hers.press("#text", "Enter")
    await expect(hers.get_by_role("alert")).to_contain_text("Too many foxes.")
    await page.get_by_role("button", name="Unblock").click()
    await expect(page.get_by_text("May ask for images.")).to_be_visible()


async def test_reported_pictures_are_removed(house: WebHouse, visit: OpenPage) -> None:
    job = await house.painted(house.person("Ana"), "a red fox --count 2")
    his = await visit("Ben")
    await his.locator("summary[aria-label=More]").click()
    await his.get_by_role("button", name="Report").click()
    await expect(his.get_by_role("button", name="Report")).to_be_hidden()
    await expect(his.locator(".whisper")).to_contain_text("administrators will look at it")
    page = await visit()
    await enter(page, "/admin/reviews")
    await expect(page.locator(".report img")).to_have_count(2)
    await page.wait_for_function(
        "() => [...document.querySelectorAll('.report img')].every(i => i.complete && i.naturalWidth)"
    )
    await press_twice(page, "Remove")

    await expect(page.get_by_text("No open reports.").last).to_be_visible()
    await house.until(job.id, State.DELETED)
    await expect(his.locator(".message.deleted")).to_contain_text("deleted")


async def test_the_charts_are_drawn_in_both_themes(house: WebHouse, visit: OpenPage) -> None:
    await house.painted(house.person("Ana"), "a red fox --count 1")
    page = await visit()
    await enter(page, "/admin/usage")
    await expect(page.locator("canvas")).to_have_count(4)
    # Every colour of the three bar charts.
    painted = """() => [...document.querySelectorAll('canvas')].map((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const seen = new Set();
        for (let i = 0; i < data.length; i += 4) seen.add(data.slice(i, i + 4).join());
        return [...seen];
    }).slice(0, 3)"""
    bar = {"light": "163,65,27,255", "dark": "242,161,122,255"}  # --c1
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme="light" if theme == "light" else "dark")
        shown = f"({painted})().every((colours) => colours.includes('{bar[theme]}'))"
        await page.wait_for_function(f"() => {shown}")
    await page.get_by_text("Show the numbers").first.click()
    await expect(page.locator("details table").first).to_contain_text("0.2")  # 4 steps at .05 s


async def test_the_ledger_is_downloaded(house: WebHouse, visit: OpenPage) -> None:
    job = await house.painted(house.person("Ana"), "a red fox --count 1")
    page = await visit()
    await enter(page, "/admin/usage")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download CSV").click()
    file = await download.value
    text = await asyncio.to_thread(Path(await file.path()).read_text)

    assert file.suggested_filename.endswith(".csv")
    assert text.startswith("id,at,kind,account") and job.id in text


async def test_a_copy_of_one_s_data_is_a_press_away(house: WebHouse, visit: OpenPage) -> None:
    page = await visit("Ana")
    await page.fill("#text", "/privacy export")
    await page.press("#text", "Enter")
    async with page.expect_download() as download:
        await page.locator(".whisper").get_by_role("link", name="easel.zip").click()
    assert (await download.value).suggested_filename == "easel.zip"


async def test_the_relax_chip_and_the_allowance_follow_what_is_asked(
    house: WebHouse, visit: OpenPage
) -> None:
    page = await visit("Ana")
    quota = page.locator(".panel [data-quota]")
    await expect(quota).to_contain_text("0 of 3600 GPU seconds used today")
    await page.fill("#text", "a red fox --count 1 --steps 20")
    await page.press("#text", "Enter")
    await expect(quota).to_contain_text("1 of 3600 GPU seconds used today")
    await page.fill("#text", "a whale --count 1 --steps 20")
    await page.get_by_label("Speed").select_option("yes")
    await expect(page.locator("#text")).to_have_value("a whale --count 1 --steps 20 --relax")
    await page.press("#text", "Enter")
    await expect(page.locator(".message.done")).to_have_count(2)

    assert {job.prompt: job.relaxed for job in await house.jobs()} == {"a red fox": False, "a whale": True}
    await page.reload()
    await expect(quota).to_contain_text("1 of 3600 GPU seconds used today")


async def test_forms_work_without_a_script(house: WebHouse, visit: OpenPage) -> None:
    page = await visit(java_script_enabled=False)
    await enter(page)
    await page.get_by_role("button", name="Drain").click()
    await expect(page.get_by_role("status").first).to_contain_text("nothing new is accepted")
    assert (await house.store.policy(INSTANCE)).drained
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("Requests are accepted and run.")).to_be_visible()


@slow
async def test_a_phone_never_scrolls_sideways(house: WebHouse, visit: OpenPage) -> None:
    ana = house.person("Ana")
    await ana.send(f"{LONG} {'very ' * 30} {'x' * 200}")
    await ana.send(f"a fox that waits {'y' * 200}")
    page = await visit(**PHONE)
    await enter(page)
    await page.goto("/admin/people/web:ana")
    await page.get_by_label("Reason").fill("z" * 300)
    await press_twice(page, "Block")
    for section in SECTIONS:
        await page.goto(f"/admin{section}")
        widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths == [360, 360], section
