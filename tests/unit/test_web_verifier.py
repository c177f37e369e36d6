"""The page where anybody may ask about a picture."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from bot.adapters.base import Receipt
from bot.adapters.web import verifier
from bot.models import Member, Origin, State
from tests.web import web_house


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def upload(data: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("source", data, filename="a.png", content_type="image/png")
    return form


async def test_strangers_are_told_what_they_may_know_and_nothing_is_kept(tmp_path: Path) -> None:
    async with (
        web_house(tmp_path, password="a password", web_url="http://studio.example.org") as house,
        aiohttp.ClientSession() as stranger,
    ):
        ada = Member(tenant="web:local", id="web:ada", name="Ada")
        origin = Origin(surface="web", member=ada, channel="studio", event="web:ada:1")
        receipt = await house.easel.router.handle("imagine", {"prompt": "a secret fox --count 1"}, origin)
        assert isinstance(receipt, Receipt)
        job = await house.until(receipt.job.id, State.RENDERED)
        data = await house.easel.images.get(job.pictures[0].blob)
        before = files(tmp_path)
        url = f"{house.url}/verify"

        assert (await stranger.get(url)).status == 200
        async with stranger.post(url, data=upload(data)) as answer:
            page = await answer.text()
        assert answer.status == 200 and "Made by this Easel, and unchanged since." in page
        assert "Model: memory" in page and "secret" not in page and job.id not in page
        async with stranger.post(url, data=upload(b"no picture")) as answer:
            assert answer.status == 422 and "can be checked" in await answer.text()
        async with stranger.post(url, data=upload(b"")) as answer:
            assert answer.status == 422 and "Choose an image first." in await answer.text()
        assert files(tmp_path) == before

        for _ in range(verifier.OFTEN - 3):
            assert (await stranger.post(url, data=upload(b""))).status == 422
        assert (await stranger.post(url, data=upload(data))).status == 429


async def test_the_composer_verifies_a_picture_or_a_job(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        ana = house.person("Ana")
        job = await house.painted(ana, "a secret fox --count 1")
        data = await house.easel.images.get(job.pictures[0].blob)

        for answer in (
            await ana.send("/verify", source=data),
            await ana.send(f"/verify {job.id}"),
            await ana.send(f"/verify picture: {job.id}:1"),
        ):
            card = (await answer.json())["card"]
            assert "Made by this Easel, and unchanged since." in card and "secret" not in card
        answer = await ana.send("/verify")
        assert "Give an image, or a message or job that shows one." in await answer.text()
        answer = await ana.send("/queue", source=data)
        assert "no option of /queue called source" in await answer.text()
