"""A real Chromium on the real web studio. Skipped where there is none.

One browser serves a module, so its tests and fixtures share an event loop; each test has its own studio and
its own contexts.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from bot.adapters.web.auth import NAME_COOKIE
from tests.web import WebHouse, web_house

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
PATIENCE = 60_000  # milliseconds; only a broken page, or a machine with much else to do, needs them

OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[WebHouse]:
    """Fast enough to wait for, slow enough to be seen painting; its parameter is the seconds of a step."""
    async with web_house(tmp_path, step_seconds=getattr(request, "param", 0.04)) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)} to run these tests")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(house: WebHouse, browser: Browser) -> AsyncIterator[OpenPage]:
    """Opens the studio as somebody. What the browser complains about fails the test."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    async def visit(name: str = "Ana", path: str = "/", **options: Any) -> Page:
        context = await browser.new_context(base_url=house.url, **options)
        context.set_default_timeout(PATIENCE)
        await context.add_cookies([{"name": NAME_COOKIE, "value": name, "url": house.url}])
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", heard)
        await page.goto(path)
        return page

    yield visit
    for context in browser.contexts:
        await context.close()
    # Refusals are answers with status 422 or 403, which Chromium reports as failed loads.
    expected = ("422", "403", "ERR_INTERNET_DISCONNECTED")
    assert [text for text in complaints if not any(each in text for each in expected)] == []
