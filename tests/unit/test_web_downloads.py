"""Files of answers: for one person, for a while."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from bot.adapters.web import downloads
from bot.adapters.web.downloads import KEPT, Downloads
from tests.examples import a_line, a_member
from tests.web import web_house


def test_a_file_is_for_whoever_asked_until_its_time_is_over() -> None:
    now = 0.0
    files = Downloads(clock=lambda: now)
    (link,) = files.keep((("easel.zip", b"zip"),), a_member("ana"))
    token = link.url.rpartition("/")[2]

    assert (link.name, link.size) == ("easel.zip", 3)
    assert files.get(token, a_member("ana")) == ("easel.zip", b"zip")
    assert files.get(token, a_member("ben")) is None
    assert files.get("nonsense", a_member("ana")) is None
    now = KEPT + 1
    assert files.get(token, a_member("ana")) is None


def test_the_oldest_files_go_when_all_are_too_large(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(downloads, "MOST_BYTES", 5)
    files = Downloads()
    links = files.keep((("a", b"123"), ("b", b"123"), ("c", b"1234567")), a_member())
    found = [files.get(link.url.rpartition("/")[2], a_member()) for link in links]

    assert found == [None, None, ("c", b"1234567")]


async def test_an_export_is_a_link_in_the_answer(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        ana, ben = house.person("Ana"), house.person("Ben")
        job = await house.painted(ana, "a fox --count 1")
        answer = await (await ana.send("/privacy export")).json()
        url = answer["card"].partition('href="/files/')[2].partition('"')[0]
        file = await ana.get(f"/files/{url}")

        assert 'download="easel.zip"' in answer["card"]
        assert "attachment" in file.headers["Content-Disposition"]
        names = zipfile.ZipFile(io.BytesIO(await file.read())).namelist()
        assert {"about.json", "jobs.json", "ledger.csv", f"pictures/{job.id}-1.png"} <= set(names)
        assert (await ben.get(f"/files/{url}")).status == 404


async def test_a_link_code_is_shown_and_the_quota_has_its_bars(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        ana = house.person("Ana")
        await house.painted(ana, "a fox")
        await house.store.gift("web:ana", 120, a_line("web:ada"), "gift")
        assert "Your code" in (await (await ana.send("/link")).json())["card"]
        for path in ("/", "/line"):
            page = await ana.page(path)
            assert (
                "of 3600 GPU seconds used today, resets at" in page and "0 of 120 GPU seconds used" in page
            ), path
        part = await (await ana.get("/quota", headers={"X-Easel-Part": "1"})).text()
        assert part.count("<progress") == 2
        assert (await ana.get("/quota")).headers["Location"] == "/line#own"
