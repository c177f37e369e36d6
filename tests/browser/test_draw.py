"""Paper to draw on: what is drawn guides an image."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import expect

from engine.types import GuideInfo
from tests.browser.conftest import PATIENCE, OpenPage
from tests.browser.test_brush import stroke
from tests.scenario.conftest import SMALL
from tests.web import WebHouse, web_house

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)

GUIDED = replace(
    SMALL,
    guides=(GuideInfo(name="scribbles", takes="scribble"),),
    controlled=frozenset({"text_to_image"}),
)


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path) -> AsyncIterator[WebHouse]:
    """A studio whose model is guided by scribbles."""
    async with web_house(tmp_path, step_seconds=0.04, model=GUIDED) as house:
        yield house


async def test_a_drawing_guides_an_image_and_is_shown(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await page.get_by_role("link", name="Draw").click()
    await expect(page.get_by_role("heading", name="Draw")).to_be_visible()
    generate = page.get_by_role("button", name="Generate")
    await page.fill("#brush-prompt", "a snake --count 1")
    await generate.click()
    await expect(page.get_by_role("alert")).to_have_text("Nothing is drawn yet.")

    await page.get_by_role("link", name="Landscape").click()
    await expect(page.locator("#brush-picture")).to_have_attribute("width", "896")
    await stroke(page, (0.2, 0.25), (0.8, 0.25))
    await stroke(page, (0.2, 0.75), (0.8, 0.75))
    await page.get_by_role("button", name="Undo").click()
    await page.fill("#brush-prompt", "a snake --count 1")
    await generate.click()

    await expect(page.locator(".message .shot img")).to_have_count(1)
    (job,) = await house.jobs()
    guide = job.request.control
    assert guide and (guide.kind, job.prompt) == ("scribble", "a snake")
    assert job.request.width > job.request.height
    drawn, lines = [
        np.asarray(Image.open(io.BytesIO(await house.easel.images.get(each))).convert("L"))
        for each in (guide.of, guide.picture)
    ]
    assert drawn.shape == (640, 896) == lines.shape
    assert (drawn == 255).mean() > 0.9 and drawn[160, 448] == 0, "dark on white"
    assert lines[160, 448] == 255 and not lines[300:].any(), "light on black, and what was undone is gone"

    await page.locator("summary[aria-label=More]").click()
    await page.get_by_role("button", name="Info").click()
    await expect(page.get_by_role("img", name="What guides the image")).to_be_visible()


async def test_by_keyboard(house: WebHouse, visit: OpenPage) -> None:
    page = await visit(path="/draw")
    await page.focus("#brush-mask")
    for key in ("ArrowLeft", "ArrowLeft", "Space", "ArrowRight", "Space", "i"):
        await page.keyboard.press(key)
    await page.fill("#brush-prompt", "a dot --count 1")
    await page.get_by_role("button", name="Generate").click()

    await expect(page.locator(".message .shot img")).to_have_count(1)
    (job,) = await house.jobs()
    assert job.request.control and job.request.control.kind == "scribble"


async def test_without_such_a_model_there_is_no_paper(tmp_path: Path, visit: OpenPage) -> None:
    async with web_house(tmp_path / "plain", model=SMALL) as plain:
        page = await visit(path=f"{plain.url}/")
        await expect(page.locator("#text")).to_be_visible()
        await expect(page.get_by_role("link", name="Draw")).to_have_count(0)
        refused = await page.request.get(f"{plain.url}/draw")
        assert not refused.ok and "No model here is guided by a scribble." in await refused.text()
