"""The web studio over HTTP, with the real studio behind it."""

from __future__ import annotations

import asyncio
import html
import io
import itertools
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from bot.accounts.logins import member_named
from bot.adapters.web import broadcast
from bot.adapters.web.adapter import WebAdapter
from bot.errors import EaselError
from bot.models import Job, Member, Origin, State
from bot.settings import Secret
from bot.surfaces import Settings
from engine.errors import EngineError, OutOfMemory
from tests.web import PATIENCE, Person, WebHouse, web_house

EVIL = '<img src=x onerror="alert(1)"> & </script><script>alert(2)</script>'


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[WebHouse]:
    async with web_house(tmp_path) as house:
        yield house


def mark_of(page: str) -> str:
    found = re.search(r'data-mark="([^"]+)"', page)
    assert found
    return found[1]


def png(width: int = 64, height: int = 48, *, noise: bool = False) -> bytes:
    picture = Image.effect_noise((width, height), 100) if noise else Image.new("RGB", (width, height), "red")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


# --- places -----------------------------------------------------------------------------------------------


async def test_an_empty_channel_offers_four_prompts(house: WebHouse) -> None:
    page = await house.person().page()

    assert page.count("data-try=") == 4
    assert "What would you like to see?" in page
    assert "Guest" in page


async def test_a_painted_prompt_stands_in_every_place(house: WebHouse) -> None:
    ana = house.person("Ana")
    job = await house.painted(ana, "a red fox --style photo")

    channel, gallery, line = [await ana.page(path) for path in ("/", "/gallery", "/line")]
    single = await ana.page(f"/jobs/{job.id}?picture=2")

    assert channel.count(f'href="/jobs/{job.id}?picture=') == 4
    assert all(label in channel for label in ("Upscale", "U4", "V4", "Again", "Delete"))
    assert gallery.count('class="tile ') == 4
    assert "The queue is empty" in line
    assert "Image 2 of 4" in single and "Use as reference" in single
    for page in (channel, gallery, single):
        assert 'alt="a red fox, image 2"' in page


async def test_the_gallery_is_searched_and_filtered(house: WebHouse) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    await house.painted(ana, "a red fox --style photo --count 1")
    await house.painted(ben, "a blue whale --count 1")

    for query, fox, whale in [
        ("search=FOX", 1, 0),
        ("style=photo", 1, 0),
        ("by=web:ben", 0, 1),
        ("search=nothing", 0, 0),
        ("", 1, 1),
    ]:
        page = await ana.page(f"/gallery?{query}")
        found = page.count('alt="a red fox'), page.count('alt="a blue whale')
        assert found == (fox, whale), query


async def test_the_gallery_shows_one_s_favourites_to_nobody_else(house: WebHouse) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    fox = await house.painted(ana, "a red fox --count 1")
    await house.painted(ana, "a blue whale --count 1")

    page = await ben.page(f"/jobs/{fox.id}")
    assert f'data-press="v1:favourite:{fox.id}"' in page
    answer = await (await ben.press(f"v1:favourite:{fox.id}")).json()
    assert "one of your favourites now" in answer["card"]

    mine, hers = await ben.page("/gallery?favourites=1"), await ana.page("/gallery?favourites=1")
    assert 'alt="a red fox' in mine and 'alt="a blue whale' not in mine
    assert 'value="1" selected' in mine and "Nothing matches" in hers


async def test_older_messages_are_loaded_on_demand(house: WebHouse) -> None:
    ana = house.person("Ana")
    for number in range(22):
        await house.painted(ana, f"fox number {number} --count 1 --steps 1")

    page = await ana.page()
    older = re.search(r'href="(/\?before=[^"]+)" data-older', page)
    assert older and page.count('class="message done"') == 20
    part = await (await ana.get(html.unescape(older[1]), headers={"X-Easel-Part": "1"})).text()

    assert part.count('class="message done"') == 2
    assert part.index("fox number 0") < part.index("fox number 1")
    assert "<html" not in part


async def test_what_a_person_typed_is_escaped_everywhere(house: WebHouse) -> None:
    evil = house.person(EVIL[:32])
    job = await house.painted(evil, f"{EVIL} --count 1")

    for path in ("/", "/line", "/gallery", f"/jobs/{job.id}", f"/gallery?search={EVIL}", f"/?text={EVIL}"):
        page = await evil.page(path)
        assert "<img src=x" not in page and "<script>" not in page and 'onerror="' not in page, path
    assert html.escape(EVIL).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in await evil.page()


async def test_a_lineage_is_shown_as_far_as_it_can_be_seen(house: WebHouse) -> None:
    ana = house.person("Ana")
    parent = await house.painted(ana, "a red fox --count 2")
    upscaled = await ana.press(f"v1:upscale:{parent.id}:1")
    assert upscaled.status == 200
    child = (await house.easel.visibility.jobs(member_named("Ana", admin=True), limit=1))[0]
    await house.until(child.id, State.RENDERED)

    page = await ana.page(f"/jobs/{child.id}")

    assert "Lineage" in page and f"/jobs/{parent.id}?picture=2" in page and "from image 2" in page
    assert f"/jobs/{child.id}?picture=1" in await ana.page(f"/jobs/{parent.id}")


# --- asking -----------------------------------------------------------------------------------------------


async def test_a_page_hears_every_state_of_its_job_in_order(tmp_path: Path) -> None:
    async with web_house(tmp_path, step_seconds=0.05) as house:
        ana = house.person("Ana")
        mark = mark_of(await ana.page())
        kinds: list[str] = []
        previews = 0
        async with asyncio.timeout(PATIENCE), ana.events(mark) as events:
            assert (await ana.send("a red fox")).status == 200
            async for event in events:
                if event.name != "card":
                    continue
                kinds.append(re.search(r'class="message (\w+)"', event.data["html"])[1])  # type: ignore[index]
                previews += "/preview?" in event.data["html"]
                if kinds[-1] == "done":
                    break

    assert [kind for kind, _ in itertools.groupby(kinds)] == ["waiting", "painting", "done"]
    assert previews >= 1


async def test_a_page_that_comes_back_hears_what_it_missed(house: WebHouse) -> None:
    ana = house.person("Ana")
    mark = mark_of(await ana.page())
    job = await house.painted(ana, "a red fox")

    async with asyncio.timeout(PATIENCE), ana.events("stale", **{"Last-Event-ID": mark}) as events:
        missed = await anext(events)
    async with asyncio.timeout(PATIENCE), ana.events("from-an-earlier-run") as events:
        lost = await anext(events)

    assert (missed.name, missed.data["job"]) == ("card", job.id)
    assert lost.name == "reload"


async def test_the_line_is_told_to_open_pages(tmp_path: Path) -> None:
    async with web_house(tmp_path, step_seconds=0.05) as house:
        ana, ben = house.person("Ana"), house.person("Ben")
        mark = mark_of(await ana.page("/line"))
        async with asyncio.timeout(PATIENCE), ana.events(mark) as events:
            for person, prompt in ((ana, "a fox"), (ana, "a second fox"), (ben, "a whale --private")):
                await person.send(prompt)
            async for event in events:
                if event.name == "line" and "a private image" in event.data["html"]:
                    break
        assert "Ben" in event.data["html"] and "a whale" not in event.data["html"]
        assert "a second fox" in await ben.page("/line")


async def test_a_crowd_in_line_is_told_in_part_and_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "REMEMBERED", 1)
    async with web_house(tmp_path, step_seconds=60) as house:
        for number in range(25):
            origin = Origin(
                surface="web",
                member=member_named(f"P{number}", admin=False),
                channel="studio",
                event=f"{number}",
            )
            await house.easel.router.handle("imagine", {"prompt": f"fox number {number} --count 1"}, origin)
        ana = house.person("Ana")
        looked_up: list[str] = []
        look_up = house.store.job

        async def counted(id: str) -> Job | None:
            looked_up.append(id)
            return await look_up(id)

        monkeypatch.setattr(house.store, "job", counted)
        page = await ana.page("/line")
        async with asyncio.timeout(PATIENCE), ana.events(mark_of(page)) as events:
            origin = Origin(surface="web", member=member_named("Z", admin=False), channel="studio", event="z")
            await house.easel.router.handle("imagine", {"prompt": "a last fox"}, origin)
            lines = (event.data["html"] async for event in events if event.name == "line")
            # The line as it was before may be told once more.
            line = await anext(line async for line in lines if "and 4 more" not in line)

    for shown, more in ((page, 4), (line, 5)):
        assert len(re.findall(r'<li class="lane( next)?">', shown)) == 21
        assert "fox number 0" in shown and f"and {more} more in the queue" in shown
        assert "Someone elsewhere" not in shown and "a private image" not in shown
    assert looked_up == []


async def test_the_line_names_nobody_of_another_place(tmp_path: Path) -> None:
    async with web_house(tmp_path, step_seconds=60) as house:
        eve = Member(tenant="discord:1", id="discord:2", name="Eve")
        origin = Origin(surface="discord", member=eve, channel="1", event="1")
        await house.easel.router.handle("imagine", {"prompt": "a secret fox"}, origin)
        page = await house.person("Ana").page("/line")

    assert "Someone elsewhere" in page and "a private image" in page
    assert ">Eve<" not in page and "secret" not in page


async def test_the_preview_of_a_running_job_is_a_picture(tmp_path: Path) -> None:
    async with web_house(tmp_path, step_seconds=0.1) as house:
        ana = house.person("Ana")
        mark = mark_of(await ana.page())
        async with asyncio.timeout(PATIENCE), ana.events(mark) as events:
            await ana.send("a red fox --count 1 --steps 40")
            async for event in events:
                if found := re.search(r'src="(/jobs/\w+/preview\?\w+)"', event.data["html"]):
                    break
            assert found
            response = await ana.get(found[1])

        assert response.content_type == "image/webp"
        assert Image.open(io.BytesIO(await response.read())).width > 1


async def test_sending_the_same_event_twice_makes_one_job(house: WebHouse) -> None:
    ana = house.person("Ana")
    for _ in range(2):
        assert (await ana.send("a fox", event="same-event-1")).status == 200

    assert len(await house.jobs()) == 1


async def test_a_refusal_says_why_and_offers_what_is_possible(house: WebHouse) -> None:
    ana = house.person("Ana")
    response = await ana.send("12 pictures of foxes")
    answer = await response.json()

    assert response.status == 422
    assert "you may have 4 at once" in answer["notice"]
    (offer,) = answer["offers"]
    assert offer["label"] == "Make 4 images" and offer["text"].startswith("foxes --count 4")
    assert await house.jobs() == []


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_000, "\u202e\u200b", "--seed 99999999999", "/nonsense"])
async def test_prompts_that_cannot_be_painted_get_one_sentence(house: WebHouse, text: str) -> None:
    response = await house.person("Ana").send(text)

    assert response.status == 422
    assert (await response.json())["notice"].endswith((".", "?"))


async def test_a_series_is_asked_about_and_started_by_a_press(house: WebHouse) -> None:
    ada = house.person("Ada")
    asked = await (await ada.send("a {red, blue} fox --count 1")).json()
    assert "Start 2 jobs with 2 images?" in asked["card"]
    start = next(each for each in re.findall(r"v1:start:\w+", asked["card"]))
    assert await (await ada.press(start)).json() == {"accepted": True}
    again = await (await ada.press(start)).json()
    assert "These 2 jobs were started already." in again["card"]
    async with asyncio.timeout(30):
        while (page := await ada.page("/")).count("1 of 2") + page.count("2 of 2") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(await house.jobs()) == 2


async def test_answers_are_in_the_language_of_the_browser(house: WebHouse) -> None:
    german = house.person("Ana")
    german.session.headers["Accept-Language"] = "de-AT,en;q=0.5"
    refused = await (await german.send("a fox --count 99")).json()
    assert refused["notice"] == "Das sind 99 Bilder; du darfst 4 auf einmal haben. Versuch --count 4."
    queue = (await (await german.send("/queue")).json())["card"]
    assert "Die Warteschlange ist leer." in queue and ' lang="de"' in queue

    await house.painted(german, "a fox --count 2")
    page = await german.page()
    assert 'aria-label="Variieren (leicht)"' in page and ">Bearbeiten<" in page, (
        "a message is in its asker's language"
    )


async def test_typed_commands_are_answered_to_the_one_who_asked(house: WebHouse) -> None:
    ana = house.person("Ana")
    await house.painted(ana, "a red fox")

    for line, expected in [
        ("/help", "/imagine: Generate"),
        ("/quota", "s used"),
        ("/queue", "The queue is empty"),
        ("/history fox", "a red fox"),
        ("/styles", "oil painting"),
        ("/settings count: 2", "Images: 2"),
    ]:
        answer = await (await ana.send(line)).json()
        assert expected in html.unescape(answer["card"]) and "Only you see this" in answer["card"], line


async def test_presses_answer_with_a_card_a_form_or_a_job(house: WebHouse) -> None:
    ana = house.person("Ana")
    job = await house.painted(ana, "a red fox --seed 7")

    info = await (await ana.press(f"v1:info:{job.id}")).json()
    edit = await (await ana.press(f"v1:edit:{job.id}")).json()
    shown = await (await ana.press(f"v1:show:{job.id}")).json()
    again = await (await ana.press(f"v1:again:{job.id}")).json()
    deleted = await (await ana.press(f"v1:delete:{job.id}")).json()
    unknown = await ana.press("v9:what")

    assert "Seeds: 7 to 10" in info["card"]
    assert edit["form"]["text"] == "a red fox --count 4 --seed 7" and edit["form"]["parent"] == job.id
    assert shown == {"open": f"/jobs/{job.id}"}
    assert again == {"accepted": True}
    assert deleted == {}
    assert unknown.status == 422
    assert (await ana.get(f"/jobs/{job.id}")).status == 404


async def test_an_edited_prompt_knows_its_parent(house: WebHouse) -> None:
    ana = house.person("Ana")
    parent = await house.painted(ana, "a red fox")
    child = await house.painted(ana, "a blue fox", parent=parent.id)

    assert (child.parent, child.action) == (parent.id, "edit")


async def test_a_failure_is_a_card_with_try_again(tmp_path: Path) -> None:
    async with web_house(tmp_path, fault=lambda job: OutOfMemory()) as house:
        ana = house.person("Ana")
        await ana.send("a fox")
        (job,) = await house.jobs()
        await house.until(job.id, State.FAILED)
        page = await ana.page()

    assert 'class="message failed"' in page and "ran out of memory" in page and "Try again" in page


async def test_the_composer_is_read_and_edited(house: WebHouse) -> None:
    ana = house.person("Ana")
    job = await house.painted(ana, "a red fox")

    read = await (await ana.compose(f"a fox, wide --source {job.id}:2")).json()
    changed = await (await ana.compose("a fox", "style", "photo")).json()
    half = await (await ana.compose("a fox --ar")).json()
    wrong = await ana.compose("a fox", "seed", "-1")

    assert read["said"] == {"aspect": "16:9", "source": f"{job.id}:2"}
    assert (await ana.get(read["source"])).content_type == "image/webp"
    assert (changed["text"], changed["said"]) == ("a fox --style photo", {"style": "photo"})
    assert half == {}
    assert wrong.status == 422


# --- source pictures --------------------------------------------------------------------------------------


async def test_a_picture_that_is_sent_along_is_the_source(house: WebHouse) -> None:
    job = await house.painted(house.person("Ana"), "a fox --strength 0.3", source=png())

    assert job.request.source and job.request.task.strength == 0.3


async def test_a_picture_that_is_too_large_or_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with web_house(tmp_path, max_source_mb=1) as house:
        ana = house.person("Ana")
        large = await ana.send("a fox", source=png(1200, 1200, noise=True))
        text = await ana.send("a fox", source=b"not a picture")

        assert large.status == text.status == 422
        assert "larger than 1 MB" in (await large.json())["notice"]
        assert "PNG, JPEG or WebP" in (await text.json())["notice"]
        assert await house.jobs() == []


async def test_bodies_that_no_page_of_ours_sends_are_refused(house: WebHouse) -> None:
    ana = house.person("Ana")
    statuses = [
        (await ana.post("/api/send", data="text=a fox")).status,
        (await ana.send("a fox", event="!")).status,
        (await ana.post("/api/press", data="not json")).status,
        (await ana.post("/api/press", data=json.dumps(["a"]))).status,
        (await ana.post("/api/press", data=json.dumps({"button": 7}))).status,
        (await ana.post("/api/compose", data=io.BytesIO(b"x" * 30_000_000))).status,
    ]

    assert statuses == [400, 422, 400, 400, 400, 413]
    assert await house.jobs() == []


# --- who may see what -------------------------------------------------------------------------------------


async def test_a_private_job_is_its_owners_alone(house: WebHouse) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    mark = mark_of(await ben.page())
    job = await house.painted(ana, "a secret fox --private")
    picture = f"/pictures/{job.id}/{job.pictures[0].blob}"
    await house.painted(ben, "a whale")

    assert (await ana.get(picture)).status == 200
    for path in (picture, f"{picture}?width=640", f"/jobs/{job.id}", f"/jobs/{job.id}/preview"):
        assert (await ben.get(path)).status == 404, path
    for path in ("/", "/gallery", "/line"):
        assert "secret" in await ana.page(path) or path == "/line"
        assert "secret" not in await ben.page(path)
    assert (await ben.press(f"v1:info:{job.id}")).status == 422
    assert (await (await ben.compose(f"a fox --source {job.id}:1")).json())["source"] == ""
    async with asyncio.timeout(PATIENCE), ben.events(mark) as events:
        heard = [await anext(events)]
    assert "secret" not in json.dumps([event.data for event in heard])


async def test_pictures_are_typed_cached_and_bound_to_their_job(house: WebHouse) -> None:
    ana = house.person("Ana")
    first, second = [await house.painted(ana, f"fox {n} --count 1") for n in (1, 2)]
    blob = first.pictures[0].blob

    response = await ana.get(f"/pictures/{first.id}/{blob}")
    thumbnail = await ana.get(f"/pictures/{first.id}/{blob}?width=640")

    assert response.content_type == "image/png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in response.headers["Cache-Control"] and response.headers["Vary"] == "Cookie"
    assert Image.open(io.BytesIO(await response.read())).size == (64, 64)
    assert thumbnail.content_type == "image/webp"
    for wrong in (f"{second.id}/{blob}", f"{first.id}/../../easel.db", f"{first.id}/{'0' * 64}.png"):
        assert (await ana.get(f"/pictures/{wrong}")).status == 404, wrong


async def test_a_picture_is_downloaded_in_the_format_that_was_asked_for(house: WebHouse) -> None:
    ana, ben = house.person("Ana"), house.person("Ben")
    job = await house.painted(ana, "a fox --count 2 --format jpeg --private")
    page = await ana.page(f"/jobs/{job.id}?picture=2")
    (address,) = re.findall(r'href="(/pictures/[^"]+[?]file=1)" download>', page)

    response = await ana.get(address)
    assert "_2.jpg" in response.headers["Content-Disposition"]
    assert (await response.read()).startswith(b"\xff\xd8\xff")
    assert (await ben.get(address)).status == 404

    grid = next(each for each in job.pictures if each.index < 0)
    assert (await ana.get(f"/pictures/{job.id}/{grid.blob}?file=1")).status == 404


async def test_a_name_is_switched(house: WebHouse) -> None:
    person = house.person("Ana")
    response = await person.post("/name", data={"name": "  Ben   B ", "next": "/line"})
    assert (response.status, response.headers["Location"]) == (303, "/line")
    job = await house.painted(person, "a fox")

    assert (job.origin.member.name, job.origin.member.id) == ("Ben B", "web:ben-b")
    assert not job.origin.member.admin
    assert (await person.post("/name", data={"name": "x", "next": "//evil.example"})).headers[
        "Location"
    ] == "/"
    assert (await person.post("/name", data={"name": "x" * 33})).status == 404


# --- the outside ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_other_sites_cannot_act_nor_listen(house: WebHouse, headers: dict[str, str]) -> None:
    ana = house.person("Ana")
    form = aiohttp.FormData({"text": "a fox", "event": "event-0001"})
    form._is_multipart = True

    assert (await ana.post("/api/send", data=form, headers=headers)).status == 403
    assert (await ana.post("/api/press", data="{}", headers=headers)).status == 403
    assert (await ana.post("/name", data={"name": "Eve"}, headers=headers)).status == 403
    assert (await ana.get("/api/events", headers=headers)).status == 403
    assert await house.jobs() == []


async def test_the_own_origin_may_act(house: WebHouse) -> None:
    ana = house.person("Ana")
    headers = {"Origin": house.url, "Sec-Fetch-Site": "same-origin"}

    assert (await ana.post("/name", data={"name": "Ben"}, headers=headers)).status == 303


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::1"])
async def test_a_foreign_host_name_is_refused(house: WebHouse, host: str) -> None:
    response = await house.person().get("/", headers={"Host": host})

    assert response.status in (400, 421)
    assert "data-try" not in await response.text()


async def test_localhost_is_this_machine_too(house: WebHouse) -> None:
    assert (await house.person().get("/", headers={"Host": "localhost:1234"})).status == 200


async def test_every_answer_carries_the_security_headers(house: WebHouse) -> None:
    ana = house.person("Ana")
    for path in ("/", "/gallery", "/nowhere", "/api/nowhere", "/healthz"):
        headers = (await ana.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


async def test_pages_carry_no_inline_script_or_style(house: WebHouse) -> None:
    ana = house.person("Ana")
    await house.painted(ana, "a fox")
    for path in ("/", "/line", "/gallery"):
        page = await ana.page(path)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path


async def test_assets_are_small_and_cached_for_ever(house: WebHouse) -> None:
    ana = house.person()
    urls = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', await ana.page()))
    responses = [await ana.get(url) for url in urls]

    assert len(urls) >= 4 and all(response.status == 200 for response in responses)
    assert all("immutable" in response.headers["Cache-Control"] for response in responses)
    assert sum([len(await response.read()) for response in responses]) < 100_000
    assert (await ana.get("/static/000000000000/easel.js")).status == 404


async def test_health_and_numbers(house: WebHouse) -> None:
    person = house.person()

    for path in ("/livez", "/readyz", "/healthz"):
        assert await (await person.get(path)).text() == "ok\n"
    assert "easel_jobs" in await (await person.get("/metrics")).text()


async def test_what_keeps_easel_from_serving_is_said_with_503(tmp_path: Path) -> None:
    async with web_house(tmp_path, fault=lambda job: EngineError("the kernel is gone")) as house:
        ana = house.person("Ana")
        for number in range(3):
            await ana.send(f"a fox {number}")
        async with asyncio.timeout(30):
            while (response := await ana.get("/readyz")).status == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        assert response.status == 503
        assert await response.text() == "No worker is ready.\nThe device memory is out of service.\n"
        assert (await ana.get("/healthz")).status == 503
        assert (await ana.get("/livez")).status == 200
        ada = await house.admin()
        assert "out of service" in await ada.page("/admin/health")


async def test_numbers_are_scraped_with_their_token_alone(tmp_path: Path) -> None:
    secrets = {"password": "pässword", "metrics_token": Secret("scraper")}
    async with web_house(tmp_path, **secrets) as house:  # type: ignore[arg-type]
        stranger = house.person()

        async def status(path: str, token: str) -> int:
            return (await stranger.get(path, headers={"Authorization": token})).status

        assert await status("/metrics", "Bearer scraper") == 200
        for wrong in ("Bearer wrong", "Bearer ", "scraper", "Basic scraper", "Bearer \udcff"):
            assert await status("/metrics", wrong) == 303
        assert await status("/line", "Bearer scraper") == 303
    async with web_house(tmp_path / "2", password="pässword") as house:
        stranger = house.person()
        assert await status("/metrics", "Bearer ") == 303


async def test_unknown_pages_and_jobs_say_so(house: WebHouse) -> None:
    person = house.person()
    for path, notice in [
        ("/nowhere", "There is no such page"),
        ("/jobs/abc", "There is no job abc"),
        ("/api/nowhere", "There is no such page"),
    ]:
        response = await person.get(path)
        assert response.status == 404 and notice in await response.text(), path


# --- the password -----------------------------------------------------------------------------------------


async def log_in(person: Person, password: str, name: str = "Ana") -> aiohttp.ClientResponse:
    return await person.post("/login", data={"name": name, "password": password})


async def test_with_a_password_nothing_is_seen_before_the_login(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="pässword") as house:
        person = house.person()
        for path in ("/", "/line", "/gallery", "/jobs/x", "/metrics"):
            response = await person.get(path)
            assert (response.status, response.headers["Location"]) == (303, "/login"), path
        assert (await person.get("/api/events")).status == 401
        assert (await person.get("/pictures/x/y")).status == 401
        assert (await person.send("a fox")).status == 401
        assert (await person.get("/healthz")).status == 200
        assert (await person.get("/login")).status == 200

        assert (await log_in(person, "wrong")).status == 403
        response = await log_in(person, "pässword")
        cookie = response.cookies["easel_session"]
        assert response.status == 303 and cookie["httponly"] and cookie["samesite"] == "Strict"
        assert "Guest" in await person.page() and "Ana" not in await person.page()
        job = await house.painted(person, "a fox")
        assert not job.origin.member.admin
        assert (await person.get("/login")).status == 303

        assert (await person.post("/logout")).status == 303
        assert (await person.get("/")).status == 303


async def test_a_login_outlives_a_restart_but_not_a_changed_password(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="one") as house:
        person = house.person()
        response = await log_in(person, "one")
        session = response.cookies["easel_session"].value
    for password, status in (("one", 200), ("two", 303)):
        async with web_house(tmp_path, password=password) as house:
            response = await house.person().get("/", cookies={"easel_session": session})
            assert response.status == status


async def test_guessing_is_braked(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        person = house.person()
        statuses = [(await log_in(person, "guess")).status for _ in range(6)]

        assert statuses == [403] * 5 + [429]
        assert (await log_in(person, "secret")).status == 429


# --- the port ---------------------------------------------------------------------------------------------


async def test_a_port_in_use_is_one_sentence(house: WebHouse, tmp_path: Path) -> None:
    port = int(house.url.rpartition(":")[2])
    second = WebAdapter(house.easel, Settings(data_dir=tmp_path, web_port=port))

    with pytest.raises(EaselError, match=f"Port {port} on 127.0.0.1 is in use"):
        second.bind()


async def test_the_url_is_known_once_bound(house: WebHouse, tmp_path: Path) -> None:
    adapter = WebAdapter(house.easel, Settings(data_dir=tmp_path, web_port=0))
    with pytest.raises(EaselError, match="not bound"):
        _ = adapter.url


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers to all of 127.0.0.0/8 by itself")
async def test_another_loopback_address(tmp_path: Path) -> None:
    async with web_house(tmp_path, web_host="127.0.0.2") as house:
        assert house.url.startswith("http://127.0.0.2:")
        assert "What would you like to see?" in await house.person().page()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_ipv6_loopback(tmp_path: Path) -> None:
    async with web_house(tmp_path, web_host="::1") as house:
        assert house.url.startswith("http://[::1]:")
        assert "What would you like to see?" in await house.person().page()


async def test_a_server_for_the_network_has_a_password(tmp_path: Path) -> None:
    async with web_house(tmp_path, web_host="0.0.0.0", password="secret") as house:
        port = house.url.rpartition(":")[2]
        person = Person(f"http://127.0.0.1:{port}")
        house.people.append(person)
        response = await person.get("/", headers={"Host": "studio.example"})
        assert (response.status, response.headers["Location"]) == (303, "/login")
    with pytest.raises(EaselError, match="WEB_PASSWORD"):
        Settings(web_host="0.0.0.0", web_password=Secret())


async def test_stopping_does_not_wait_for_open_pages(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        ana = house.person("Ana")
        mark = mark_of(await ana.page())
        async with ana.events(mark) as events:
            house.server.cancel()
            async with asyncio.timeout(PATIENCE):
                assert [event async for event in events] == []
                await asyncio.wait({house.server})
        assert house.server.cancelled()
