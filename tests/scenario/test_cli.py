"""The command line as people use it: processes of their own, the engine in memory, one folder each."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from bot.__main__ import parser
from tests.processes import PATIENCE, ROOT, Process

Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m bot …` in an empty folder."""
    processes = []

    def run(*arguments: str, **settings: str) -> Process:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MODEL": "memory", "WEB_PORT": "0", **settings}
        process = Process("bot", *arguments, cwd=tmp_path, env=environment)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def ended(process: Process) -> tuple[int, str, str]:
    out, err = process.communicate()
    return process.wait(), out, err


def line_with(stream: IO[str], text: str) -> str:
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"the process ended without saying {text!r}")


def test_imagine_writes_the_format_that_was_asked_for(start: Start, tmp_path: Path) -> None:
    code, out, _err = ended(start("imagine", "a red heart", "--count", "1", "--format", "webp", "--out", "o"))

    assert code == 0
    (file,) = out.split()
    assert file.endswith("-1.webp") and (tmp_path / file).read_bytes()[8:12] == b"WEBP"


def test_imagine_says_what_it_made_as_json(start: Start, tmp_path: Path) -> None:
    code, out, err = ended(
        start("imagine", "a red heart", "--seed", "7", "--count", "1", "--out", "o", "--json")
    )

    assert (code, err) == (0, "")
    said = json.loads(out)
    assert list(said) == ["job", "state", "pictures", "seed", "seconds", "device_seconds"]
    assert (said["state"], said["seed"], said["pictures"]) == ("rendered", 7, [f"o/{said['job']}-1.png"])
    assert said["seconds"] > 0 and said["device_seconds"] > 0
    with Image.open(tmp_path / said["pictures"][0]) as picture:
        assert picture.size == (512, 512) and "prompt" not in picture.info


def test_several_jobs_are_started_only_when_they_are_agreed_to(start: Start, tmp_path: Path) -> None:
    asked = ("imagine", "a {red, blue} fox", "--repeat", "2", "--count", "1", "--steps", "1", "--json")
    code, out, err = ended(start(*asked))
    assert (code, out) == (1, "") and "Start 4 jobs with 4 images?" in err
    assert err.endswith("Nothing was started. Add --yes to start them without being asked.\n")

    code, out, err = ended(start(*asked, "--yes"))
    said = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [each["state"] for each in said] == ["rendered"] * 4
    assert all((tmp_path / each["pictures"][0]).exists() for each in said)


def test_flags_and_plain_words_and_a_source_file(start: Start, tmp_path: Path) -> None:
    Image.new("RGB", (80, 40), "red").save(tmp_path / "red.jpg")
    source = ["--source", "red.jpg", "--strength", "0", "--steps", "1"]
    code, out, err = ended(start("imagine", "two pictures of", "a fox, wide", *source))

    assert (code, err) == (0, "")
    files = out.split()
    assert len(files) == 2
    with Image.open(tmp_path / files[1]) as picture:
        assert picture.width > picture.height
        assert picture.getcolors() is not None


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [
        (("imagine", "a fox --sede 7"), {}, 1, "There is no flag --sede. Did you mean --seed?\n"),
        (("imagine", "fox", "--count", "9"), {}, 1,
         "That is 9 images; you may have 4 at once. Try --count 4.\n"),
        (("imagine", "fox", "--source", "/dev/null"), {}, 1,
         "Source takes a file or a job's image, for example 1a2b3c4d5e6f:2.\n"),
        (("imagine", "fox"), {"DAILY_SECONDS": "1"}, 2,
         "DAILY_SECONDS is set by tiers now: put it into a TIERS_FILE, then remove DAILY_SECONDS.\n"),
        (("imagine", "fox"), {"WEB_PORT": "x"}, 2,
         "WEB_PORT=x cannot be used: it must be a whole number from 0 to 65535.\n"),
        (("imagine", "fox"), {"MODEL": "nothere"}, 2, None),
        (("imagine", "fox", "--out", "/proc/nowhere", "--steps", "1"), {}, 2, None),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_one_sentence(
    start: Start, arguments: tuple[str, ...], settings: dict[str, str], code: int, said: str | None
) -> None:
    found, out, err = ended(start(*arguments, **settings))

    assert (found, out) == (code, "")
    assert err.count("\n") == 1 and "Traceback" not in err
    assert said is None or err == said


def test_ctrl_c_cancels_the_job(start: Start, tmp_path: Path) -> None:
    process = start("imagine", "a fox", "--steps", "100", "--json")
    database = tmp_path / "data" / "easel.db"
    until(lambda: states(database) == ["running"])
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)

    assert (code, err) == (1, "Cancelled, nothing charged.\n")
    assert json.loads(out)["state"] == "cancelled"
    assert states(database) == ["cancelled"]


def states(database: Path) -> list[str]:
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return [row[0] for row in connection.execute("SELECT state FROM jobs")]
    except sqlite3.OperationalError:  # no table yet, or being written
        return []


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_run_opens_the_web_studio_and_stops_when_told(start: Start, tmp_path: Path) -> None:
    process = start("run")
    url = line_with(process.stdout, "Easel is open at ").split()[-1]
    office = line_with(process.stdout, "administrator")
    assert (
        office == f"The administrator's page is {url}/admin; its password is stored in data/admin.password\n"
    )
    made = (tmp_path / "data" / "admin.password").read_text().strip()
    with urllib.request.urlopen(url, timeout=PATIENCE) as page:
        assert page.status == 200
    second, _, err = ended(start("run"))
    code_of_a_picture, files, _ = ended(start("imagine", "a fox", "--count", "1"))
    process.send_signal(signal.SIGTERM)
    code, out, said = ended(process)

    assert code == 0 and made and made not in out + said
    assert second == 2 and err.count("\n") == 1  # one process on one data folder
    assert code_of_a_picture == 0 and (tmp_path / files.strip()).read_bytes().startswith(b"\x89PNG")


def test_admin_works_while_easel_runs_and_when_it_does_not(start: Start, tmp_path: Path) -> None:
    def admin(*words: str) -> tuple[int, str, str]:
        return ended(start("admin", *words))

    assert admin("gift", "discord:5", "600") == (
        0,
        "discord:5 has 600 GPU seconds more, to use whenever the quota does not suffice.\n",
        "",
    )
    process = start("run")
    line_with(process.stdout, "Easel is open at ")
    assert admin("role", "77", "team", "--tenant", "discord:9")[:2] == (0, "77 has the tier Team now.\n")
    assert admin("pause")[0] == 0
    code, out, err = admin("audit")
    assert (code, err) == (0, "")
    assert [line.split(" · ")[2] for line in out.splitlines()[1:]] == [
        "/admin pause",
        "/admin tier role 77",
        "/admin person gift discord:5",
    ]
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0

    assert "Paused everywhere" in admin("status")[1]
    code, out, _ = admin("export", "--out", "books")
    assert (code, out.splitlines()[-1]) == (0, "books/easel-ledger.csv")
    assert "gift,discord:5,gifts,600.000" in (tmp_path / "books" / "easel-ledger.csv").read_text()


def test_quota_is_the_same_while_easel_runs_and_when_it_does_not(start: Start) -> None:
    def quota() -> list[str]:
        code, out, err = ended(start("quota"))
        assert (code, err) == (0, "")
        return re.sub(r", in [^·\n]+", "", out).splitlines()  # how long until midnight

    title, facts = quota()
    assert title == "Your quota"
    assert facts == (
        "▱▱▱▱▱▱▱▱▱▱ 0 of 3600 GPU seconds used today · about 3600 images left today · "
        "3600 GPU seconds left · tier Everyone · resets at 00:00 UTC"
    )
    assert ended(start("imagine", "a red heart", "--count", "1", "--steps", "100"))[0] == 0
    _, facts, job = quota()
    assert facts.startswith("▱▱▱▱▱▱▱▱▱▱ 5 of 3600 GPU seconds used today · about ")
    assert re.fullmatch(r"a red heart · 5 s · [0-9a-f]{12}", job)
    assert ended(start("admin", "gift", f"cli:{getpass.getuser()}", "60"))[0] == 0

    alone = quota()
    assert alone[2] == "▱▱▱▱▱▱▱▱▱▱ Your gifts: 0 of 60 GPU seconds used, stays until it is used"
    process = start("run")
    line_with(process.stdout, "Easel is open at ")
    assert quota() == alone
    assert ended(start("admin", "language", "--language", "de"))[0] == 0
    assert quota()[0] == "Dein Kontingent"
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0
    assert quota()[0] == "Dein Kontingent"


def test_a_terminal_that_lacks_a_character_gets_the_others(start: Start) -> None:
    code, out, err = ended(start("quota", PYTHONIOENCODING="ascii"))

    assert (code, err) == (0, "")
    assert "?????????? 0 of 3600 GPU seconds used today ? about 3600 images left" in out


def test_quota_needs_no_worker(start: Start, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch is imported')")

    code, out, err = ended(start("quota", MODEL="easel-tiny"))
    assert (code, err) == (0, "")
    assert "3600 GPU seconds left" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gift", "discord:5", "nan"), "Seconds takes a number from 1 to 1000000000; “nan” is not one."),
        (("gift", "ada", "5"), "Say where ada is from, as in discord:ada."),
        (("tier", "discord:5", "tema"), "There is no tier called tema. Did you mean team?"),
        (("job", "1a2b", "hold"), "There is no job 1a2b here."),
        (("channel", "--rule", "maybe"), "Rule can be allow, refuse or clear; you asked for “maybe”."),
    ],
)
def test_an_order_that_is_not_possible_is_one_sentence(
    start: Start, arguments: tuple[str, ...], said: str
) -> None:
    assert ended(start("admin", *arguments)) == (1, "", f"{said}\n")


def test_a_tier_file_with_a_mistake_is_one_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "tiers.toml").write_text('[everyone]\nmodels = ["memroy"]\n', encoding="utf-8")
    code, out, err = ended(start("run", TIERS_FILE="tiers.toml"))
    assert (code, out) == (2, "")
    assert err == (
        "tiers.toml, [everyone], line 2: models = ['memroy'] cannot be used: "
        "it must be a list of memory (perhaps memory).\n"
    )


def test_a_password_file_that_cannot_be_used_is_one_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data" / "admin.password").mkdir(parents=True)

    code, out, err = ended(start("run"))
    assert (code, out) == (2, "")
    assert err.startswith("data/admin.password cannot be used") and err.count("\n") == 1


def test_doctor_speaks_json(start: Start) -> None:
    _, out, _ = ended(start("doctor", "--json"))
    assert {"name", "ok", "detail", "remedy"} <= set(json.loads(out)[0])


def test_help_reads_well() -> None:
    text = parser().format_help()
    assert 'python -m bot imagine "a red heart" --seed 7 --count 1' in text
    for command in ("run", "imagine", "quota", "doctor"):
        assert re.search(rf"^    {command} +\w", text, re.MULTILINE)


def test_every_option_of_the_vocabulary_is_a_flag() -> None:
    from bot import commands

    for option in commands.command("imagine").options[1:]:
        for flag in {*option.flags, option.name}:
            value = [] if option.kind == "boolean" else ["7"]
            said = parser().parse_args(["imagine", "a fox", f"--{flag}", *value])
            assert getattr(said, option.name) in ("7", True)
