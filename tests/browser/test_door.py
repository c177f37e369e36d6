"""Coming into the web studio by a link, in a browser, on a telephone too."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from bot.messages.types import Card
from bot.models import Member, Origin
from tests.browser.conftest import PATIENCE
from tests.web import WebHouse, web_house

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)
ADA = Member(tenant="discord:1", id="discord:7", name="Ada")
NARROW = {"width": 320, "height": 700}


async def link_for(house: WebHouse) -> str:
    """Ada's link, at the address that the studio has here."""
    origin = Origin(surface="discord", member=ADA, channel="general", event="link")
    answer = await house.easel.router.handle("studio", {}, origin)
    assert isinstance(answer, Card)
    return house.url + answer.link.removeprefix("https://studio.example.org")


async def fits(page: Page) -> bool:
    wide: bool = await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return wide


async def test_a_link_logs_in_and_a_session_that_ends_elsewhere_leaves_the_page(
    tmp_path: Path, browser: Browser
) -> None:
    async with web_house(tmp_path, web_url="https://studio.example.org") as house:
        contexts = [await browser.new_context(base_url=house.url, viewport=NARROW) for _ in range(2)]
        phone, desk = [await context.new_page() for context in contexts]
        for page in (phone, desk):
            page.set_default_timeout(PATIENCE)
            await page.goto("/")
            await expect(page.get_by_text("/studio")).to_be_visible()
            assert await fits(page)
            await page.goto(await link_for(house))
            await expect(page.get_by_role("heading", name="Log in as Ada")).to_be_visible()
            assert await fits(page)
            await page.get_by_role("button", name="Log in").click()
            await expect(page.locator("#text")).to_be_visible()
            assert await fits(page)
        await desk.goto("/settings")
        await expect(desk.locator(".session")).to_have_count(2)
        await expect(desk.get_by_text("this browser")).to_have_count(1)
        await expect(desk.get_by_text("Invalid Date")).to_have_count(0)
        assert await fits(desk)

        other = desk.locator(".session", has_not_text="this browser")
        await other.get_by_role("button").click()

        await expect(desk.locator(".session")).to_have_count(1)
        await phone.wait_for_url("**/login")
        for context in contexts:
            await context.close()


async def test_an_open_studio_says_at_320_pixels_that_everyone_sees_everything(
    tmp_path: Path, browser: Browser
) -> None:
    async with web_house(tmp_path) as house:
        context = await browser.new_context(base_url=house.url, viewport=NARROW)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        await page.goto("/")
        await expect(page.locator(".composer .here-only")).to_be_visible()
        assert await fits(page)
        await page.fill("#text", "a red heart --private --count 1")
        await page.press("#text", "Enter")
        await expect(page.locator(".whisper")).to_contain_text("Everyone at this machine sees everything")
        await context.close()
