"""Walking through a picture's family, and comparing two of it, in a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from bot.models import Job, State
from tests.browser.conftest import PATIENCE, OpenPage
from tests.web import WebHouse

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)


async def family(house: WebHouse) -> tuple[Job, Job, Job]:
    """Paint a picture and two of it: the parent, its variations, and its upscale."""
    ana = house.person("Ana")
    parent = await house.painted(ana, "a red fox --count 2")
    for button in (f"v1:vary_subtle:{parent.id}:0", f"v1:upscale:{parent.id}:1"):
        assert (await ana.press(button)).status == 200
        newest = max(await house.jobs(), key=lambda job: job.created)
        await house.until(newest.id, State.RENDERED)
    parent, varied, large = sorted(await house.jobs(), key=lambda job: job.created)
    return parent, varied, large


async def clipped(page: Page) -> float:
    """How much of the width the first image covers, in percent."""
    value = await page.locator(".compare").evaluate("each => getComputedStyle(each).getPropertyValue('--at')")
    return float(value.strip().removesuffix("%"))


async def test_one_walks_up_down_and_sideways(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    parent, varied, large = await family(house)
    await page.goto(f"/jobs/{varied.id}?picture=1")
    lineage = page.get_by_role("region", name="Lineage")
    await expect(lineage.locator("[aria-current]")).to_have_count(1)

    await lineage.get_by_role("link", name="Next").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator(".stage img")).to_have_attribute(
        "src", f"/pictures/{large.id}/{large.singles[0].blob}"
    )
    await dialog.press("ArrowUp")
    await expect(dialog.locator(".stage img")).to_have_attribute(
        "src", f"/pictures/{parent.id}/{parent.singles[1].blob}"
    )
    await dialog.press("ArrowDown")
    await expect(dialog.locator(".stage img")).to_have_attribute(
        "src", f"/pictures/{varied.id}/{varied.singles[0].blob}"
    )
    await dialog.press("PageDown")
    await expect(dialog.locator(".kin.here")).to_contain_text("Upscale")
    await dialog.press("PageUp")
    await expect(dialog.locator(".kin.here")).to_contain_text("Vary (subtle)")


async def test_two_are_compared_by_keys_and_any_two_can_be_chosen(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    parent, varied, large = await family(house)
    await page.goto(f"/jobs/{varied.id}?picture=1")
    await page.get_by_role("link", name="Compare").click()
    dialog = page.get_by_role("dialog")
    slider = dialog.get_by_role("slider", name="How much of the first image is shown")
    await expect(slider).to_be_focused()
    assert await clipped(page) == 50

    await slider.press("ArrowRight")
    await expect(slider).to_have_attribute("aria-valuetext", "51 %")
    assert await clipped(page) == 51
    await slider.press("End")
    assert await clipped(page) == 100
    await slider.press("Home")
    assert await clipped(page) == 0

    over = dialog.locator(".over")
    await expect(over).to_have_attribute("src", f"/pictures/{parent.id}/{parent.singles[0].blob}")
    await dialog.get_by_role("combobox", name="First").select_option(f"{large.id}:1")
    await expect(over).to_have_attribute("src", f"/pictures/{large.id}/{large.singles[0].blob}")
    await expect(dialog.get_by_role("combobox", name="First")).to_be_focused()
    await expect(dialog.locator(".under")).to_have_attribute(
        "src", f"/pictures/{varied.id}/{varied.singles[0].blob}"
    )
    await dialog.get_by_role("link", name="Back to the image").click()
    await expect(dialog.get_by_role("region", name="Lineage")).to_be_visible()


async def test_two_are_compared_by_the_pointer(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    _parent, varied, _large = await family(house)
    await page.goto(f"/jobs/{varied.id}/compare")
    box = await page.locator(".compare").bounding_box()
    assert box
    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(middle, y)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.8, y, steps=5)
    await page.mouse.up()
    assert 75 <= await clipped(page) <= 85
    line = await page.locator(".divider").bounding_box()
    assert line and abs(line["x"] - (box["x"] + box["width"] * await clipped(page) / 100)) < 4


async def test_two_are_compared_by_touch_on_a_narrow_screen(house: WebHouse, visit: OpenPage) -> None:
    page = await visit(viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True)
    _parent, varied, _large = await family(house)
    await page.goto(f"/jobs/{varied.id}/compare")
    box = await page.locator(".compare").bounding_box()
    assert box and box["width"] <= 320
    await page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    await page.wait_for_function("() => document.querySelector('.compare input').value !== '50'")
    assert 15 <= await clipped(page) <= 35
    await page.goto(f"/jobs/{varied.id}")
    for path in (f"/jobs/{varied.id}", f"/jobs/{varied.id}/compare"):
        await page.goto(path)
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


async def test_a_deleted_picture_is_a_gap(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    parent, varied, _large = await family(house)
    await house.easel.router.press(f"v1:delete:{parent.id}", varied.origin)
    await page.goto(f"/jobs/{varied.id}")
    lineage = page.get_by_role("region", name="Lineage")
    await expect(lineage).to_contain_text("Deleted, or not shown to you")
    await expect(lineage.get_by_role("link", name="Parent")).to_have_count(0)


async def test_without_a_script_the_form_compares(house: WebHouse, visit: OpenPage) -> None:
    parent, varied, _large = await family(house)
    page = await visit(path=f"/jobs/{varied.id}/compare", java_script_enabled=False)
    await page.get_by_role("combobox", name="First").select_option(f"{parent.id}:2")
    await page.get_by_role("button", name="Compare").click()
    await expect(page.locator(".over")).to_have_attribute(
        "src", f"/pictures/{parent.id}/{parent.singles[1].blob}"
    )
