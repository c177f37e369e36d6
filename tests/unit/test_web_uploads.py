"""Forms with pictures, many at once."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bot.adapters.web import uploads
from tests.web import Person, web_house

ROOT = Path(__file__).parents[2]
MANY = 40
BYTES = 19_000_000

MEASURED = """
import asyncio, json, os, resource, sys, time
from pathlib import Path
from tests.web import web_house

async def main(folder):
    async with web_house(Path(folder)) as house:
        sys.stdout.write(house.url + "\\n")
        sys.stdout.flush()
        before, worst = resident(), 0.0
        done = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        peak, last = before, time.monotonic()
        while not done.done():
            await asyncio.sleep(0.01)
            now = time.monotonic()
            worst, last, peak = max(worst, now - last - 0.01), now, max(peak, resident())
        sys.stdout.write(json.dumps({"grown": peak - before, "lag": worst}) + "\\n")

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

asyncio.run(main(sys.argv[1]))
"""


def picture(size: int) -> bytes:
    """A small picture in a file of that size: what stands behind its end is not looked at."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    return out.getvalue().ljust(size, b"\0")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_forty_large_uploads_at_once_take_little_memory_and_hold_nobody_up(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        MEASURED,
        str(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdin and child.stdout
    lines = [(await child.stdout.readline()).decode() for _ in range(2)]
    (url,) = [line.strip() for line in lines if line.startswith("http")]
    body = picture(BYTES)
    people = [Person(url, f"Person {number}") for number in range(MANY)]
    answers = await asyncio.gather(*(each.send("a fox --count 1", source=body) for each in people))
    child.stdin.write(b"\n")
    child.stdin.close()
    said = (await child.stdout.read()).decode().splitlines()
    await child.wait()
    for each in people:
        await each.session.close()
    (measured,) = [json.loads(line) for line in said if line.startswith("{")]  # the others are its log

    assert [answer.status for answer in answers] == [200] * MANY
    assert measured["grown"] < 400e6, measured  # bytes; 1.1 GB when all were in memory
    assert measured["lag"] < 1.5, measured  # seconds, on a machine that does much else; 4.6 before


async def test_what_has_no_room_on_the_disk_is_asked_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_ON_DISK", 30_000)
    async with web_house(tmp_path) as house:
        person = house.person("Ana")
        assert (await person.send("a fox", source=picture(10_000))).status == 200
        answer = await person.send("a fox", source=picture(40_000))
        assert answer.status == 503 and answer.headers["Retry-After"] == "10"
        assert "Try again in ten seconds" in (await answer.json())["notice"]
        assert (await person.send("a fox", source=picture(10_000))).status == 200  # there is room again


async def test_pictures_wait_on_the_disk_and_leave_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most = 0, 0
    whole = uploads._whole

    def counted(file: io.BufferedRandom) -> bytes:
        nonlocal held, most
        held += 1
        most = max(most, held)
        return whole(file)

    monkeypatch.setattr(uploads, "_whole", counted)
    async with web_house(tmp_path) as house:
        handle = house.easel.router.handle

        async def slowly(*args: object, **more: object) -> object:
            nonlocal held
            await asyncio.sleep(0.05)
            held -= 1
            return await handle(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(house.easel.router, "handle", slowly)
        people = [house.person(f"Person {number}") for number in range(10)]
        answers = await asyncio.gather(
            *(each.send("a fox --count 1", source=picture(2_000_000)) for each in people)
        )
        assert {answer.status for answer in answers} == {200}
        assert most == uploads.AT_ONCE
        left = {each.name for each in await asyncio.to_thread(lambda: [*tmp_path.iterdir()])}
    assert not {name for name in left if name.startswith("tmp")}


@pytest.mark.parametrize("path", ["/login", "/name", "/api/press", "/admin/login"])
async def test_a_form_without_a_picture_is_small(tmp_path: Path, path: str) -> None:
    async with web_house(tmp_path) as house:
        answer = await house.person().post(path, data={"name": "x" * 300_000})

        assert answer.status in (400, 413)


async def test_a_form_of_too_many_parts_is_refused(tmp_path: Path) -> None:
    async with web_house(tmp_path) as house:
        answer = await house.person().send("a fox", **{f"field{n}": "x" for n in range(10)})

        assert answer.status == 400
