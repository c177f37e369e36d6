from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot import actions, commands, formats
from bot.errors import Offer, Refusal
from bot.messages import answers, job_cards, marks
from bot.messages import types as message_types
from bot.messages.types import Card
from bot.models import Balance, Job, Member, Origin, Preferences, State, StoredPicture
from bot.prompts import styles
from engine.types import GenerationRequest, Lane, Progress, QueuePosition
from tests.examples import a_tier

NOW = datetime(2026, 3, 1, 19, tzinfo=UTC)
ADA = Member(tenant="here", id="ada", name="Ada")
REQUEST = GenerationRequest(prompt="a red fox, 3d", seed=7, count=4)
BALANCE = Balance(cap=600, used=4, resets=NOW + timedelta(hours=5), per="day")
WEEK = Balance(cap=3000, used=1500, resets=NOW + timedelta(days=3), per="week")
GIFT = Balance(cap=100, used=10, resets=None, name="gift")
BUDGET = Balance(cap=900, used=800, resets=NOW + timedelta(hours=5), name="this channel", per="day")
EVERYONE = a_tier(600)


def test_info_tells_that_images_were_joined_and_whether_that_was_compared() -> None:
    made = job(2)
    joined = replace(made, pictures=tuple(replace(each, joined=True) for each in made.pictures))

    def told(*given: Job, compared: bool = False) -> list[str]:
        return [line for line in answers.info(*given, compared=compared).body if "together" in line]

    end = "--reproducible makes the same image to the last bit."
    assert told(made) == told(made, compared=True) == []
    assert told(joined) == [f"Generated together with other images. {end}"]
    assert told(joined, compared=True) == [
        "Generated together with other images, as this model's images were the same alone when Easel "
        f"compared them. {end}"
    ]


def job(count: int = 4, **changes: object) -> Job:
    request = replace(REQUEST, count=count)
    pictures = [
        StoredPicture(index=i, blob=f"{i}.png", seed=7 + i, width=512, height=512)
        for i in range(-1 if count > 1 else 0, count)
    ]
    made = Job(
        id="1a2b3c4d5e6f",
        origin=Origin(surface="s", member=ADA, channel="c", event="e"),
        request=request,
        prompt="a red fox",
        style="3d",
        state=State.RENDERED,
        estimate=4.0,
        device_seconds=12.3,
        created=NOW,
        pictures=tuple(reversed(pictures)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


ENLARGED = job(
    1,
    id="abcabcabcabc",
    request=REQUEST.enlarged("1.png", 512, 512),
    parent="1a2b3c4d5e6f",
    parent_index=1,
    action="upscale",
)
REFUSAL = Refusal("That is 12 pictures.", offers=(Offer("Make it 4", "a fox --count 4"),))
LANE = Lane(tenant="here", user="ada", waiting=("a",), running=(), virtual_time=0, weight=1, served=0)

EVERY: dict[str, Card] = {
    "waiting": job_cards.waiting(job(), QueuePosition(3, 41.0)),
    "painting": job_cards.painting(
        job(), Progress(job="x", step=10, steps=20, device_seconds=1, preview=b"p"), 8.2
    ),
    "starting": job_cards.painting(job()),
    "finishing": job_cards.painting(job(), Progress(job="x", step=20, steps=20, device_seconds=2), 0.4),
    "done": job_cards.done(job()),
    "sixteen": job_cards.done(job(16)),
    "one": job_cards.done(job(1)),
    "upscaled": job_cards.done(ENLARGED),
    "picked": job_cards.picked(job(16), 9),
    "more": job_cards.more(job()),
    "more of one": job_cards.more(ENLARGED),
    "refused": job_cards.refused(REFUSAL),
    "failed": job_cards.failed(job(reason="The engine ran out of memory on this size.")),
    "cancelled": job_cards.cancelled(job()),
    "deleted": job_cards.deleted(job()),
    "info": answers.info(ENLARGED, [job()]),
    "queue": answers.queue([LANE], {"a": job()}, ADA, ADA.id),
    "history": answers.history([job(id=f"{number:012x}") for number in range(12)]),
    "held": job_cards.waiting(job(), None, held=True),
    "relaxed": job_cards.waiting(job(relaxed=True), QueuePosition(3, 41.0)),
    "quota": answers.quota(EVERYONE, [BALANCE, WEEK, GIFT, BUDGET], [job()], NOW, 2.0),
    "unlimited": answers.quota(replace(EVERYONE, allowances=()), [], [], NOW, 2.0),
    "link": answers.link_code("ABCDE-FGHJK"),
    "linked": answers.linked(["discord:1", "slack:T:U"]),
    "unlinked": answers.unlinked(),
    "styles": answers.styles(styles.load().styles.values()),
    "settings": answers.settings(Preferences()),
    "help": answers.help(),
    "help imagine": answers.help(commands.command("imagine")),
    "help admin": answers.help(None, commands.group("admin"), admin=True),
    "offered": job_cards.refused(
        Refusal("No.", offers=(Offer("Relax", button="v1:again:1a2b3c4d5e6f:relax"),))
    ),
}


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_every_card_fits_every_platform(made: Card) -> None:
    assert len(made.rows) <= 5
    rows = (*job_cards.rows_with_more(made), *([made.more] if made.more else []))
    ids = [button.id for row in rows for button in row]
    assert len(set(ids)) == len(ids)
    assert len(made.more) <= 25
    assert len(job_cards.rows_with_more(made)) <= 5
    for row in job_cards.rows_with_more(made):
        assert 1 <= len(row) <= 5
        for button in row:
            assert len(button.id.encode()) <= 64 and 1 <= len(button.label) <= 34 and button.name
            assert actions.parse(button.id).id == button.id


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_the_voice(made: Card) -> None:
    words = " ".join((*made.facts, *made.body))
    assert "!" not in words and "Oops" not in words


def test_the_states_in_their_words() -> None:
    assert EVERY["waiting"].facts == (
        "for @Ada",
        "3rd in queue, about 40 s",
    )
    assert EVERY["held"].facts[1] == "on hold"
    assert EVERY["relaxed"].facts == ("for @Ada", "3rd in queue, about 40 s", "relaxed (free)")
    assert EVERY["painting"].facts == ("about 8 s",)
    assert EVERY["painting"].bar == message_types.Bar(done=0.5, label="10 of 20 steps")
    assert EVERY["finishing"].bar == message_types.Bar(done=1.0, label="checking and saving")
    assert EVERY["finishing"].facts == () and EVERY["finishing"].rows == ()
    assert EVERY["done"].facts == ("3D render", "1:1", "seed 7", "easel-tiny")
    assert EVERY["upscaled"].facts == ("image 2, 4× (2048 × 2048)", "from an earlier image")
    assert EVERY["failed"].body == ("The engine ran out of memory on this size. Nothing was charged.",)
    assert EVERY["cancelled"].facts == ("cancelled, nothing charged",)
    for name in ("waiting", "painting", "done", "upscaled", "failed", "cancelled"):
        assert EVERY[name].title == "a red fox"


def labels(made: Card) -> list[list[str]]:
    return [[button.label for button in row] for row in made.rows]


def test_the_buttons_of_each_state() -> None:
    assert labels(EVERY["waiting"]) == labels(EVERY["painting"]) == [["Cancel"]]
    assert labels(EVERY["one"]) == [["Upscale", "Vary (subtle)", "Again", "Edit"]]
    assert labels(EVERY["upscaled"]) == [["Upscale", "Vary (subtle)", "Edit"]]
    for name in ("one", "upscaled"):
        more = [button.label for button in EVERY[name].more]
        own = [
            "Change image",
            "Describe",
            "Change a region",
            "Extend",
            "Sizes",
            "Info",
            "Favourite",
            "Download",
            "Download as …",
            "Alt text",
            "Enter contest",
            "Delete",
            "Report",
        ]
        assert more == ["Vary (strong)", "Upscale (creative)", "Cut out", *own]
    assert labels(EVERY["failed"]) == [["Try again"]]
    assert labels(EVERY["cancelled"]) == [["Again"]]
    assert labels(EVERY["refused"]) == [["Make it 4"]]
    assert sum(map(len, labels(EVERY["sixteen"])[:-1])) == 16


def test_pictures_have_alternative_texts_and_the_grid_comes_first() -> None:
    pictures = EVERY["done"].pictures
    assert [picture.blob for picture in pictures] == ["-1.png", "0.png", "1.png", "2.png", "3.png"]
    assert [picture.alt for picture in pictures[:2]] == ["a red fox", "a red fox, image 1"]
    assert EVERY["one"].pictures[0].alt == "a red fox"
    assert EVERY["painting"].pictures[0].preview == b"p"


def test_names_for_screen_readers_say_what_the_labels_shorten() -> None:
    made = EVERY["done"]
    names = [buttons[0].name for buttons in (*made.rows[:2], made.more)]
    assert names == ["Upscale image 1", "Subtle variations of image 1", "Strong variations of image 1"]


def test_an_offer_too_long_for_a_button_is_a_line_to_copy() -> None:
    text = f"a {'very ' * 30}red fox --count 4"
    made = job_cards.refused(Refusal("No.", offers=(Offer("Make it 4", text),)))
    assert made.rows == () and made.body == ("No.", text)


def test_a_deleted_card_says_nothing_of_what_it_was() -> None:
    assert "fox" not in repr(EVERY["deleted"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "about 1 s"),
        (4.4, "about 4 s"),
        (41, "about 40 s"),
        (57, "about 55 s"),
        (58, "about 1 min"),
        (170, "about 3 min"),
        (3500, "about 1 h"),
        (7300, "about 2 h"),
    ],
)
def test_rounded_times(seconds: float, text: str) -> None:
    assert formats.about(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "under 1 s"), (12.4, "12 s"), (65, "1 min 5 s"), (120, "2 min"), (3780, "1 h 3 min")],
)
def test_measured_times(seconds: float, text: str) -> None:
    assert formats.span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")],
)
def test_ordinals(number: int, text: str) -> None:
    assert formats.ordinal(number) == text


def test_the_line_names_people_of_this_place_alone() -> None:
    lanes = [
        replace(LANE, running=("b",)),
        replace(LANE, user="ben", waiting=("b", "c")),
        replace(LANE, user="eve", tenant="elsewhere"),
        replace(LANE, user="secret", waiting=("x",)),
    ]
    ben = job(origin=replace(job().origin, member=replace(ADA, id="ben", name="Ben")))
    made = answers.queue(lanes, {"b": ben}, ADA, ADA.id)
    assert made.facts == ("4 people", "5 jobs waiting")
    assert made.body == (
        "1. you: 1 job generating, 1 job waiting",
        "2. Ben: 2 jobs waiting",
        "3. someone elsewhere: 1 job waiting",
        "4. someone: 1 job waiting",
    )
    assert answers.queue([], {}, ADA, ADA.id).body == (
        "The queue is empty. Your prompt will start right away.",
    )
    assert answers.queue([LANE] * 40, {}, ADA, ADA.id).body[-1] == "and 25 more people"


def test_the_quota_says_when_it_resets() -> None:
    made = EVERY["quota"]
    assert tuple(map(marks.plain, made.facts)) == (
        "about 50 images left today",
        "100 GPU seconds left",
        "tier Everyone",
        "resets at 00:00 UTC, in 5 h",
    )
    assert made.bar == message_types.Bar(done=4 / 600, label="4 of 600 GPU seconds used today")
    assert tuple(map(marks.plain, made.body)) == (
        "▰▰▰▰▰▱▱▱▱▱ 1500 of 3000 GPU seconds used this week, resets at 4 Mar 19:00 UTC, in 72 h",
        "▰▱▱▱▱▱▱▱▱▱ Your gifts: 10 of 100 GPU seconds used, stays until it is used",
        "▰▰▰▰▰▰▰▰▰▱ this channel: 800 of 900 GPU seconds used today, resets at 00:00 UTC, in 5 h",
        "a red fox · 12 s · 1a2b3c4d5e6f",
    )
    assert EVERY["unlimited"].facts == ("tier Everyone", "no limit")
    nothing = Balance(cap=0, used=0, resets=NOW + timedelta(minutes=90), per="day")
    empty = answers.quota(EVERYONE, [nothing], [], NOW, 2.0)
    assert empty.bar is not None and empty.bar.done == 1


def test_info_has_seeds_and_lineage() -> None:
    body = "\n".join(EVERY["info"].body)
    assert "Origin: upscaled from image 2 of 1a2b3c4d5e6f “a red fox”" in body
    assert "Seed: 7" in body and "Steps" not in body
    assert "Seeds: 7 to 10, one per image" in "\n".join(answers.info(job()).body)


def test_help_has_every_command_and_every_flag() -> None:
    everything = "\n".join(EVERY["help"].body)
    assert all(f"/{command.name}: " in everything for command in commands.FOR_ALL)
    assert "admin" not in everything
    administration = "\n".join(EVERY["help admin"].body)
    assert all(f"/{command.name}: " in administration for command in commands.group("admin"))
    flags = "\n".join(EVERY["help imagine"].body)
    for option in commands.command("imagine").options:
        assert option.help in flags
    assert "--seed: A number that makes the same image again. 0 to 4294967295. Left out: random." in flags


@pytest.mark.parametrize(
    ("prompt", "index", "name"),
    [
        ("a red fox in snow", 1, "red-fox-in-snow_7_2"),
        ("a red fox in snow", -1, "red-fox-in-snow_7"),
        ("Ein Bär über Köln, süß!", 0, "baer-ueber-koeln-suess_7_1"),
        ("../../etc/passwd\x00.png", 0, "etc-passwd-png_7_1"),
        ("狐", 0, "1a2b3c_7_1"),
        ("the", 0, "the_7_1"),
        ("a lighthouse at dusk with rolling waves and gulls", 0, "lighthouse-at-dusk-with-rolling-waves_7_1"),
        ("x" * 4000, 0, f"{'x' * 40}_7_1"),
    ],
)
def test_a_file_is_named_after_what_it_shows(prompt: str, index: int, name: str) -> None:
    found = replace(job(), id="1a2b3c", prompt=prompt, request=replace(job().request, seed=7))
    assert job_cards.file_name(found, index) == name


def test_what_is_withheld_holds_no_files_either() -> None:
    card = job_cards.withheld(Card(kind="text", title="a fox", adult=True, files=(("fox.png", b"PNG"),)))
    assert (card.title, card.pictures, card.files) == ("", (), ())
