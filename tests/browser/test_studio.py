"""What a person does in the web studio, done in a browser."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from bot.messages import job_cards
from bot.models import State
from tests.browser.conftest import PATIENCE, OpenPage
from tests.web import WebHouse

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE)
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


async def ask(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def paint(page: Page, text: str) -> None:
    await ask(page, text)
    await expect(page.locator(".message").last.locator(".shot img").first).to_be_visible()


async def test_a_prompt_waits_paints_and_becomes_four_pictures(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await expect(page.get_by_role("heading", name="What would you like to see?")).to_be_visible()
    seen = await page.evaluate_handle("""() => {
        // Noted in the page: on a busy machine a question from outside may come when it is all over.
        const seen = { kinds: [], bar: false, preview: false };
        new MutationObserver(() => {
            const kind = document.querySelector('.message')?.classList[1];
            if (kind && seen.kinds.at(-1) !== kind) seen.kinds.push(kind);
            seen.bar ||= Boolean(document.querySelector('.message progress'));
            seen.preview ||= Boolean(document.querySelector('.message img.preview'));
        }).observe(document.querySelector('#feed'), { subtree: true, childList: true, attributes: true });
        return seen;
    }""")

    await page.get_by_role("button", name="a red heart").click()

    message = page.locator(".message")
    await expect(message.locator(".shot img")).to_have_count(4)
    await expect(page.locator("#live")).to_have_text(re.compile("^Done: a red heart"))
    assert await seen.json_value() == {
        "kinds": ["waiting", "painting", "done"],
        "bar": True,
        "preview": True,
    }
    await expect(page.locator("#empty")).to_be_hidden()
    await page.wait_for_function(
        "() => [...document.querySelectorAll('.shot img')].every(i => i.complete && i.naturalWidth)"
    )


async def test_an_upscale_comes_from_a_button_and_names_its_grid(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await paint(page, "a red fox")
    await page.get_by_role("button", name="U2: Upscale image 2").click()

    upscaled = page.locator(".message.upscaled")
    await expect(upscaled.locator(".facts")).to_contain_text("image 2, 4× (256 × 256)")
    await upscaled.get_by_role("link", name="from an earlier image").click()

    await expect(page.get_by_role("dialog")).to_contain_text("Image 1 of 4")


async def test_edit_and_rerun_happens_in_the_composer(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await paint(page, "a red fox --seed 7 --count 1")
    await page.get_by_role("button", name="Edit the prompt").click()

    await expect(page.locator("#editing")).to_be_visible()
    await expect(page.locator("#text")).to_have_value("a red fox --count 1 --seed 7")
    await page.fill("#text", "a blue fox --count 1 --seed 7")
    await page.press("#text", "Enter")

    await expect(page.locator(".message.done")).to_have_count(2)
    await expect(page.locator("#editing")).to_be_hidden()
    await expect(page.locator(".message").last).to_contain_text("from an earlier image")
    child, parent = sorted(await house.jobs(), key=lambda job: job.created, reverse=True)
    assert (child.parent, child.prompt) == (parent.id, "a blue fox")


async def test_editing_can_be_stopped(visit: OpenPage) -> None:
    page = await visit()
    await paint(page, "a red fox --count 1")
    await page.get_by_role("button", name="Edit the prompt").click()
    await page.get_by_role("button", name="Stop editing").click()

    await expect(page.locator("#editing")).to_be_hidden()
    await expect(page.locator("#text")).to_have_value("")


@pytest.mark.parametrize("house", [1.0], indirect=True, ids=["slow"])
async def test_one_person_plays_two_and_both_get_their_turns(house: WebHouse, visit: OpenPage) -> None:
    page = await visit("Ana")
    await ask(page, "a first fox --count 1 --steps 100")  # far longer than all that follows takes
    # Two requests under way together may arrive in either order.
    await expect(page.locator(".message.painting")).to_contain_text("a first fox")
    await ask(page, "a second fox --count 1 --steps 1")
    await expect(page.locator(".message.waiting")).to_contain_text("a second fox")
    await page.get_by_role("button", name="You are Ana").click()
    await page.get_by_label("Another name").fill("Ben")
    await page.get_by_role("button", name="Switch").click()
    await expect(page.get_by_role("button", name="You are Ben")).to_be_visible()
    await ask(page, "a whale --count 1 --steps 1")
    await expect(page.locator(".message")).to_have_count(3)

    await page.get_by_role("link", name="Queue", exact=True).first.click()
    lanes = page.locator(".lane")
    await expect(lanes).to_have_count(2)
    await expect(page.locator(".lane.next")).to_contain_text("Ben")
    await expect(page.locator(".why")).to_contain_text("Ben is next")
    await page.get_by_role("button", name="You are Ben").click()
    await page.get_by_role("button", name="Ana", exact=True).click()  # only her own job is hers to cancel
    await expect(page.get_by_role("button", name="You are Ana")).to_be_visible()
    await page.get_by_role("link", name="Channel", exact=True).click()
    first = page.locator(".message", has_text="a first fox")
    await first.get_by_role("button", name="Cancel").click()
    await expect(first.get_by_role("button", name="Cancel")).to_have_count(0)  # leaving would drop the press
    await page.get_by_role("link", name="Queue", exact=True).first.click()
    await expect(page.locator(".quiet")).to_be_visible()

    jobs = sorted(await house.jobs(), key=lambda job: job.started or job.created)
    assert [job.prompt for job in jobs] == ["a first fox", "a whale", "a second fox"]


async def test_a_refusal_keeps_the_words_and_its_offer_is_a_press_away(visit: OpenPage) -> None:
    page = await visit()
    await ask(page, "12 pictures of foxes")

    await expect(page.get_by_role("alert")).to_contain_text("you may have 4 at once")
    await expect(page.locator("#text")).to_have_value("12 pictures of foxes")
    await page.get_by_role("button", name="Make 4 images").click()

    await expect(page.locator(".message.done")).to_contain_text("foxes")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_chips_mirror_the_text_and_edit_it(visit: OpenPage) -> None:
    page = await visit()
    await page.locator("#text").press_sequentially("two pictures of a fox, wide")
    await expect(page.get_by_label("Aspect ratio")).to_have_value("16:9")
    await expect(page.get_by_label("Images")).to_have_value("2")

    await page.get_by_label("Style").select_option("oil-painting")
    await page.get_by_role("button", name="More").click()
    await page.get_by_label("Seed").fill("7")
    await page.get_by_label("Seed").press("Enter")

    text = page.locator("#text")
    await expect(text).to_have_value("a fox --aspect 16:9 --count 2 --seed 7 --style oil-painting")
    await page.get_by_label("Aspect ratio").select_option("")
    await expect(text).to_have_value("a fox --count 2 --seed 7 --style oil-painting")


async def test_a_picture_is_chosen_changed_and_dropped(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    file: FilePayload = {"name": "teal.png", "mimeType": "image/png", "buffer": out.getvalue()}
    strip = page.locator("#source")
    await page.set_input_files("#file", file)
    await expect(strip).to_be_visible()
    await page.get_by_role("button", name="Remove the image prompt").click()
    await expect(strip).to_be_hidden()
    await page.set_input_files("#file", file)
    await page.fill("#text", "a fox --count 1")
    await page.locator("#strength").fill("0.3")
    await expect(page.locator("#text")).to_have_value("a fox --count 1 --strength 0.3")
    await page.press("#text", "Enter")

    await expect(page.locator(".message.done")).to_be_visible()
    await expect(strip).to_be_hidden()
    (job,) = await house.jobs()
    assert job.request.source and job.request.task.strength == 0.3


async def test_a_picture_of_the_gallery_becomes_the_source(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await paint(page, "a red fox")
    (job,) = await house.jobs()
    await page.goto("/gallery")
    await page.locator(".tile").nth(2).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Image 3 of 4")
    await dialog.get_by_role("link", name="Use as reference").click()

    await expect(page.locator("#text")).to_have_value(f"--source {job.id}:3")
    await expect(page.locator("#source img")).to_have_attribute("src", re.compile("^/pictures/"))


async def test_everything_by_keyboard(visit: OpenPage) -> None:
    page = await visit()
    await page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the composer")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#text")).to_be_focused()
    await page.keyboard.type("a red")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("fox --count 2")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.done")).to_contain_text("a red fox")

    await expect(page.locator("#text")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(page.locator("#text")).to_have_value("a red\nfox --count 2")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#text")).to_have_value("")

    first = page.get_by_role("link", name="Open image 1 of 2")
    await first.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Image 1 of 2")
    await page.keyboard.press("ArrowRight")
    await expect(dialog).to_contain_text("Image 2 of 2")
    for _ in range(20):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('dialog, body').matches('dialog, body')")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(first).to_be_focused()


async def test_deleting_asks_once_more(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await paint(page, "a red fox --count 1")
    await page.locator("summary[aria-label=More]").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator(".message.done")).to_be_visible()
    await page.get_by_role("button", name="Delete for good").click()

    await expect(page.locator(".message.deleted")).to_contain_text("These images were deleted")
    await page.reload()
    await expect(page.get_by_role("heading", name="What would you like to see?")).to_be_visible()


async def test_the_menu_opens_and_closes_by_mouse_and_keyboard(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await paint(page, "a red fox --count 2")
    dots, info = page.locator("summary[aria-label=More]"), page.get_by_role("button", name="Info")
    await expect(info).to_be_hidden()
    await dots.click()
    await expect(info).to_be_in_viewport(ratio=1)
    await page.locator(".title").first.click()
    await expect(info).to_be_hidden()

    await dots.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Strong variations of image 1")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(info).to_be_hidden()
    await expect(dots).to_be_focused()


async def test_a_waiting_job_is_cancelled(visit: OpenPage) -> None:
    page = await visit()
    await ask(page, "a first fox --steps 40")
    await ask(page, "a second fox")
    await page.locator(".message.waiting").last.get_by_role("button", name="Cancel").click()

    await expect(page.locator(".message.cancelled")).to_contain_text("nothing charged")


async def test_an_answer_for_one_person_can_be_dismissed(visit: OpenPage) -> None:
    page = await visit()
    await ask(page, "/help")
    whisper = page.locator(".whisper")
    await expect(whisper).to_contain_text("Only you see this")
    await expect(whisper).to_contain_text("/imagine: Generate images")
    await whisper.get_by_role("button", name="Dismiss").click()

    await expect(whisper).to_have_count(0)
    await expect(page.locator("#text")).to_be_focused()


async def test_others_see_public_pictures_appear_and_private_ones_not(
    house: WebHouse, visit: OpenPage
) -> None:
    ana, ben = await visit("Ana"), await visit("Ben")
    await ask(ana, "a secret fox --private --count 1")
    await ask(ana, "a public fox --count 1")

    await expect(ben.locator(".message.done")).to_contain_text("a public fox")
    await expect(ana.locator(".message.done")).to_have_count(2)
    await expect(ana.locator(".message", has_text="a secret fox")).to_contain_text("Only this name")
    assert "secret" not in await ben.content()


async def test_a_page_survives_the_studios_absence(house: WebHouse, visit: OpenPage) -> None:
    page = await visit()
    await page.context.set_offline(True)
    await ask(page, "a red fox")
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    await expect(page.locator("#text")).to_have_value("a red fox")
    await page.context.set_offline(False)
    await expect(page.get_by_role("alert")).to_be_hidden()  # it is over, and the words are still there
    await expect(page.locator("#text")).to_have_value("a red fox")
    await page.press("#text", "Enter")
    await expect(page.locator(".message.done")).to_be_visible()
    assert len(await house.jobs()) == 1


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("path", ["/", "/line", "/gallery", "/gallery#picture", "/settings", "/verify"])
async def test_a_phone_never_scrolls_sideways(
    house: WebHouse, visit: OpenPage, path: str, width: int
) -> None:
    person = house.person("Ana")
    await house.painted(person, f"a {'very ' * 30}wide fox {'x' * 200} --ar 16:9 --count 4")
    await person.send("a fox that waits")
    page = await visit(path=path, **{**PHONE, "viewport": {"width": width, "height": 640}})
    if path == "/":
        await ask(page, "/help")
        await expect(page.locator(".whisper")).to_be_visible()
        await page.fill("#text", "a fox --count 99")
        await page.press("#text", "Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
    if path.endswith("#picture"):
        await page.locator(".tile").first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()

    widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths == [width, width]


async def test_dark_and_light_follow_the_system_and_the_toggle(visit: OpenPage) -> None:
    page = await visit(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(background)
    await page.get_by_role("button", name="Change the theme").click()
    light = await page.evaluate(background)
    await page.reload()

    assert dark != light
    assert await page.evaluate(background) == light
    for colour, is_dark in ((dark, True), (light, False)):
        assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 384) is is_dark


async def test_nothing_moves_for_those_who_prefer_that(house: WebHouse, visit: OpenPage) -> None:
    await house.person("Ana").send("a fox --steps 60")
    page = await visit(reduced_motion="reduce")
    await expect(page.locator(".message")).to_be_visible()
    running = await page.evaluate("document.getAnimations().length")

    assert running == 0


async def test_a_card_whose_clock_went_back_stands_in_its_place(house: WebHouse, visit: OpenPage) -> None:
    first = await house.painted(house.person("Ana"), "a red fox --count 1")
    page = await visit()
    await expect(page.locator(".message")).to_have_count(1)
    late = replace(first, id="0123456789ab", prompt="a whale", created=first.created - timedelta(minutes=5))
    await house.adapter.post(late, job_cards.waiting(late))

    await expect(page.locator(".message")).to_have_count(2)
    await expect(page.locator(".message").first).to_contain_text("a whale")


async def test_older_pictures_come_on_demand(house: WebHouse, visit: OpenPage) -> None:
    person = house.person("Ana")
    for number in range(22):
        response = await person.send(f"fox {number} --count 1 --steps 1")
        assert response.status == 200, await response.text()
        (job, *_) = sorted(await house.jobs(), key=lambda job: job.created, reverse=True)
        await house.until(job.id, State.RENDERED)
    page = await visit()
    await expect(page.locator(".message")).to_have_count(20)
    await page.get_by_role("link", name="Older images").click()

    await expect(page.locator(".message")).to_have_count(22)
    await expect(page.locator(".message").first).to_contain_text("fox 0")
