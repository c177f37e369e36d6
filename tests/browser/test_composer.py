"""The composer helps while somebody types: what may follow, what holds, what was begun, bad files."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, expect

from tests.browser.conftest import PATIENCE, OpenPage
from tests.web import WebHouse

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)


async def test_flags_and_their_values_are_completed_by_keyboard(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    text, suggestions = page.locator("#text"), page.locator("#completions:not([hidden]) li")
    await text.press_sequentially("a fox --sty")
    await expect(suggestions).to_have_count(1)
    await page.keyboard.press("Tab")
    await expect(text).to_have_value("a fox --style ")
    await expect(suggestions.filter(has_text="Oil painting")).to_be_visible()
    await page.keyboard.type("oi")
    await expect(suggestions).to_have_count(2)  # noir too
    await page.keyboard.press("ArrowUp")
    await expect(suggestions.last).to_have_attribute("aria-selected", "true")
    await expect(text).to_have_attribute("aria-activedescendant", "completion-1")
    await page.keyboard.press("Enter")
    await expect(text).to_have_value("a fox --style oil-painting ")
    await expect(page.get_by_label("Style")).to_have_value("oil-painting")
    await expect(suggestions).to_have_count(0)
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.done")).to_be_visible()
    assert (await house.jobs())[0].style == "oil-painting"


async def test_commands_are_completed_by_mouse_and_escape_closes_the_list(visit: OpenPage) -> None:
    page = await visit()
    text, suggestions = page.locator("#text"), page.locator("#completions:not([hidden]) li")
    await text.press_sequentially("/")
    await expect(suggestions.filter(has_text="/quota")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(suggestions).to_have_count(0)
    await page.keyboard.type("quo")
    await suggestions.filter(has_text="/quota").click()
    await expect(text).to_have_value("/quota ")
    await page.keyboard.press("Enter")
    await expect(page.locator(".whisper")).to_contain_text("Your quota")


async def test_a_command_that_is_typed_to_its_end_is_sent_by_enter(visit: OpenPage) -> None:
    page = await visit()
    await page.locator("#text").press_sequentially("/queue")
    await expect(page.locator("#completions:not([hidden]) li")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page.locator(".whisper")).to_be_visible()
    await expect(page.locator("#text")).to_have_value("")


async def test_a_draft_survives_a_reload_and_another_page(visit: OpenPage) -> None:
    page = await visit()
    await page.locator("#text").press_sequentially("a half-written fox --count 2")
    await page.reload()
    await expect(page.locator("#text")).to_have_value("a half-written fox --count 2")
    await expect(page.get_by_label("Images")).to_have_value("2")
    await page.goto("/gallery")
    await page.goto("/")
    await expect(page.locator("#text")).to_have_value("a half-written fox --count 2")
    await page.locator("#text").press("Enter")
    await expect(page.locator(".message")).to_be_visible()
    await page.reload()
    await expect(page.locator("#text")).to_have_value("")


async def test_what_is_edited_is_still_edited_after_a_reload(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await page.fill("#text", "a red fox --seed 7 --count 1")
    await page.press("#text", "Enter")
    await page.get_by_role("button", name="Edit the prompt").click()
    await expect(page.locator("#text")).to_have_value("a red fox --count 1 --seed 7")
    await page.fill("#text", "a blue fox --count 1 --seed 7")
    await page.reload()
    await expect(page.locator("#editing")).to_be_visible()
    await expect(page.locator("#text")).to_have_value("a blue fox --count 1 --seed 7")
    await page.press("#text", "Enter")
    await expect(page.locator(".message.done")).to_have_count(2)
    assert sorted(await house.jobs(), key=lambda job: job.created)[-1].parent


async def test_a_file_that_is_no_picture_is_refused_when_it_is_chosen(visit: OpenPage) -> None:
    page = await visit()
    await page.fill("#text", "a fox --steps")  # half a flag, which must not hide what is said of the file
    letter: FilePayload = {"name": "cat.png", "mimeType": "image/png", "buffer": b"Dear Ada"}
    await page.set_input_files("#file", letter)
    await expect(page.get_by_role("alert")).to_contain_text("isn't a PNG, JPEG or WebP image")
    await expect(page.locator("#source")).to_be_hidden()
    await expect(page.locator("#text")).to_have_value("a fox --steps")


async def test_the_chips_show_one_s_own_defaults_and_reset_takes_them_back(
    house: WebHouse, visit: OpenPage
) -> None:
    page = await visit()
    await page.fill("#text", "/settings style oil painting")
    await page.press("#text", "Enter")
    await expect(page.locator(".whisper")).to_contain_text("Style: Oil painting")
    await page.reload()
    style = page.get_by_label("Style").locator("option:checked")
    await expect(style).to_have_text("Oil painting")
    await page.get_by_label("Style").select_option("none")
    await expect(page.locator("#text")).to_have_value("--style none")
    await page.fill("#text", "/settings reset")
    await page.press("#text", "Enter")
    await expect(page.locator(".whisper").last).to_contain_text("Style: none")
    await page.reload()
    await expect(style).to_have_text("none")
