"""A database of the version before requests had a task opens, and its waiting jobs are painted.

`tests/legacy/version_1.sql` was dumped from a database of that version, left as a killed process leaves it.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from bot.models import State
from bot.store import Store, look_at
from engine.types import ImageToImage, Task, TextToImage, Upscale
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, Opens

LEGACY = Path(__file__).parents[1] / "legacy"
PHOTO = "e0b226e02c3e678afc12f77dd08793e480e861df50ba4c29d614a5bcd012b93b.png"
FIRST = "39b80c0eba595db26ad57b9e0fb6aab4dd26204f915fcb5cb923db581696520f.png"
SECOND = "eb70e03f607e0f2bbb1fb60e5c5ef18b166621bfebce6ec879b4401832796343.png"

ENDED: dict[str, tuple[str, int, Task]] = {
    "b46200c2cde3": ("a red fox in snow", 11, TextToImage()),
    "0753fc43a82d": ("an oil painting", 12, ImageToImage(source=PHOTO, strength=0.3)),
    "95f421366e46": ("only words", 13, ImageToImage(source=PHOTO, strength=1.0)),
    "63313087ba2e": ("a secret", 14, TextToImage()),
    "cefee632c724": ("a red fox in snow", 11, Upscale(source=FIRST, factor=4)),
    "b246872546d4": ("a red fox in snow", 8624654, ImageToImage(source=SECOND, strength=0.4)),
    "5dc9ca0f2ed8": ("", 15, TextToImage()),
    "29828a706c27": ("fail", 16, TextToImage()),
    "72ab83e21708": ("a cancelled one", 17, TextToImage()),
}
WAITING: dict[str, tuple[str, int, Task]] = {
    "886ae14011f9": ("a waiting wolf", 21, TextToImage()),
    "39d1c8223d47": ("a waiting wolf in oil", 22, ImageToImage(source=PHOTO, strength=0.7)),
    "a30160cacc28": ("a red fox in snow", 12, Upscale(source=SECOND, factor=4)),
    "1844f7bbfc87": ("a relaxed wolf", 23, TextToImage()),
    "cc5c2bdeb770": ("a private wolf", 24, TextToImage()),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "easel.db"
    connection = sqlite3.connect(path)
    connection.executescript((LEGACY / "version_1.sql").read_text(encoding="utf-8"))
    connection.close()
    for name in (PHOTO, SECOND):
        folder = tmp_path / "pictures" / name[:2] / name[2:4]
        folder.mkdir(parents=True, mode=0o700)
        (folder / name).write_bytes((LEGACY / name).read_bytes())
    return path


async def test_every_request_is_read_as_what_it_asked_for(database: Path) -> None:
    store = await Store.open(f"sqlite:///{database}")
    found = {job.id: job for job in [await store.job(id) for id in (*ENDED, *WAITING)] if job}
    assert {id: (job.prompt, job.request.seed, job.request.task) for id, job in found.items()} == {
        **ENDED,
        **WAITING,
    }
    assert found["cefee632c724"].request.width == 256
    assert found["b46200c2cde3"].request.negative_prompt.startswith("people, ")
    assert {id for id, job in found.items() if job.origin.private} == {"63313087ba2e", "cc5c2bdeb770"}
    assert [id for id, job in found.items() if job.relaxed] == ["1844f7bbfc87"]
    assert len(await store.measured()) == 6
    assert {PHOTO, FIRST, SECOND} < await store.blobs()
    await store.close()
    assert look_at(f"sqlite:///{database}").unreadable == ()


async def test_what_waits_is_painted_and_what_was_painted_is_varied(database: Path, opened: Opens) -> None:
    async with opened(tiers=(a_tier(100_000.0, priorities=("fast", "relax")),)) as house:
        for id in WAITING:
            job = await house.ended(id)
            assert job.state is State.RENDERED, job.reason
            assert job.pictures
            assert (job.prompt, job.request.seed, job.request.task) == WAITING[id]
        large = await house.image(next(each.blob for each in (await house.row("a30160cacc28")).pictures))
        assert large.size == (256, 256)
        (changed,) = (await house.row("39d1c8223d47")).pictures
        red, _, blue = (await house.image(changed.blob)).convert("RGB").getpixel((79, 32))
        assert red > blue, "it kept something of its source"
        form = await house.press("v1:edit:0753fc43a82d", ADA)
        assert (form.values["source"], form.values["strength"]) == ("0753fc43a82d:source", "0.3")
        assert (await house.press("v1:edit:cefee632c724", ADA)).values.get("source") is None
        shown = await house.press("v1:info:0753fc43a82d", ADA)
        assert "Strength: 0.3 from a source image" in shown.body
        again = await house.press("v1:again:63313087ba2e", BEN)
        assert again.job.request.task == TextToImage() and again.job.origin.private
        varied = await house.press("v1:vary_subtle:a30160cacc28:0", ADA)
        assert varied.job.request.task == ImageToImage(source=SECOND, strength=0.4)
    written = sqlite3.connect(database).execute("SELECT request FROM jobs WHERE id = ?", (varied.job.id,))
    request = json.loads(written.fetchone()[0])
    assert request["version"] == 2
    assert request["task"] == {"kind": "image_to_image", "source": SECOND, "strength": 0.4}
