"""The brush in a browser: a picture is painted over, and only that changes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page, expect

from bot.models import Job
from engine.types import Inpaint
from tests.browser.conftest import PATIENCE, OpenPage
from tests.web import WebHouse

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)


async def opened(house: WebHouse, visit: OpenPage, **options: object) -> tuple[Page, Job]:
    page = await visit(**options)
    await page.fill("#text", "a red fox --count 1 --size 256x256")
    await page.press("#text", "Enter")
    await expect(page.locator(".message .shot img")).to_have_count(1)
    (job,) = await house.jobs()
    await page.goto(f"/brush/{job.id}/1")
    await expect(page.get_by_role("heading", name="Change a region")).to_be_visible()
    return page, job


async def stroke(page: Page, *points: tuple[float, float]) -> None:
    """Draw over the picture, by parts of its sides."""
    box = await page.locator("#brush-mask").bounding_box()
    assert box
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    await page.mouse.move(*at[0])
    await page.mouse.down()
    for each in at[1:]:
        await page.mouse.move(*each, steps=4)
    await page.mouse.up()


async def marked(page: Page) -> int:
    """Return the percentage that the page has told."""
    text = await page.locator("#live").text_content()
    return int((text or "").split(" %")[0] or 0)


async def mask_of(house: WebHouse, job: Job) -> np.ndarray:
    assert isinstance(job.request.task, Inpaint)
    data = await house.easel.images.get(job.request.task.mask)
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


async def test_what_was_painted_over_is_sent_as_a_mask(house: WebHouse, visit: OpenPage) -> None:
    page, first = await opened(house, visit)
    await stroke(page, (0.2, 0.25), (0.8, 0.25))
    assert 5 <= await marked(page) <= 12
    await page.fill("#brush-prompt", "a yellow sun --count 1")
    await page.get_by_role("button", name="Generate").click()

    await expect(page.locator(".message .shot img")).to_have_count(2)
    job = next(each for each in await house.jobs() if each.id != first.id)
    mask = await mask_of(house, job)
    assert mask.shape == (256, 256) and (job.prompt, job.parent) == ("a yellow sun", first.id)
    assert (mask[58:70, 60:196] > 250).all() and not mask[120:].any()


async def test_eraser_undo_invert_and_clear(house: WebHouse, visit: OpenPage) -> None:
    page, _ = await opened(house, visit)
    undo = page.get_by_role("button", name="Undo")
    await expect(undo).to_be_disabled()
    await stroke(page, (0.2, 0.5), (0.8, 0.5))
    whole = await marked(page)
    await page.get_by_role("button", name="Eraser").click()
    await stroke(page, (0.2, 0.5), (0.5, 0.5))
    assert 0 < await marked(page) < whole
    await undo.click()
    assert await marked(page) == whole
    await page.get_by_role("button", name="Invert").click()
    assert abs(await marked(page) - (100 - whole)) <= 1
    await page.get_by_role("button", name="Clear").click()
    assert await marked(page) == 0
    for _each in range(3):
        await undo.click()
    await expect(undo).to_be_disabled()
    assert await marked(page) == 0

    await page.get_by_role("button", name="Generate").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "Nothing is marked yet. Paint over what is to change."
    )


async def test_everything_by_keyboard_with_feather_and_zoom(house: WebHouse, visit: OpenPage) -> None:
    page, first = await opened(house, visit)
    canvas = page.locator("#brush-mask")
    await canvas.focus()
    for key in ("]", "]", "]", "]", "Space", "ArrowLeft", "Space", "ArrowUp", "Enter"):
        await canvas.press(key)
    three = await marked(page)
    assert three > 0
    await canvas.press("z")
    assert await marked(page) < three
    await canvas.press("+")
    await expect(page.locator("#brush-zoom")).to_have_text("150 %")
    await canvas.press("-")
    await canvas.press("e")
    await expect(page.get_by_role("button", name="Eraser")).to_have_attribute("aria-pressed", "true")
    await page.locator("#brush-feather").fill("16")
    await page.fill("#brush-prompt", "a star --count 1")
    await page.get_by_role("button", name="Generate").press("Enter")

    await expect(page.locator(".message .shot img")).to_have_count(2)
    mask = await mask_of(house, next(each for each in await house.jobs() if each.id != first.id))
    assert ((mask > 20) & (mask < 235)).mean() > 0.01 and mask.max() > 200


async def test_a_finger_paints(house: WebHouse, visit: OpenPage) -> None:
    page, _ = await opened(
        house, visit, viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True
    )
    box = await page.locator("#brush-mask").bounding_box()
    assert box
    await page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(page.locator("#live")).not_to_have_text("")
    assert await marked(page) > 0
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 320


async def test_the_menu_of_a_picture_leads_to_the_brush(house: WebHouse, visit: OpenPage) -> None:
    page, job = await opened(house, visit)
    await page.goto("/")
    await page.locator(".message .more summary").click()
    await page.get_by_role("button", name="Change a part of one of these images").click()
    await page.wait_for_url(f"**/brush/{job.id}/1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_looks_as_the_rest_does(
    scheme: str, house: WebHouse, visit: OpenPage, tmp_path: Path
) -> None:
    page, _ = await opened(house, visit, color_scheme=scheme)
    await stroke(page, (0.3, 0.3), (0.7, 0.6))
    await page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.screenshot(path=tmp_path / f"{scheme}-320.png", full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
