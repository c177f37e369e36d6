"""Cards as HTML: every state, every button, and nothing that a person typed gets through unescaped."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bot.adapters.web import assets
from bot.adapters.web.views import Views, avatar, said, shape, stage, strips
from bot.messages import answers, job_cards
from bot.messages.types import Bar, Card, CardPicture
from bot.models import State, StoredPicture
from engine.types import Progress, QueuePosition
from tests.examples import a_job

PICTURES = tuple(
    StoredPicture(index=index, blob=f"{index}.png", seed=7, width=640, height=360) for index in range(-1, 4)
)


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(assets.load())


def rendered(views: Views, shown: Card, **fields: object) -> str:
    return views.message(a_job(id="abc", pictures=PICTURES, **fields), shown)


def test_every_state_of_a_card_is_drawn(views: Views) -> None:
    job = a_job(id="abc", state=State.RENDERED, pictures=PICTURES)
    large = replace(job, parent="def", parent_index=1, request=job.request.enlarged("3.png", 128, 128))
    step = Progress(job="abc", step=5, steps=20, device_seconds=1, preview=b"webp")
    expected = {
        job_cards.waiting(job, QueuePosition(3, 40)): ("3rd in queue, about 40 s", "Cancel"),
        job_cards.painting(job, step, 8): ('value="0.250"', "5 of 20 steps", "/jobs/abc/preview?"),
        job_cards.done(job): ("/pictures/abc/3.png?width=640", "U4", "Delete"),
        job_cards.upscaled(replace(large, pictures=PICTURES[1:2])): ('href="/jobs/def"', "Vary (strong)"),
        job_cards.failed(replace(job, reason="It ran out of memory.")): ("ran out of memory", "Try again"),
        job_cards.cancelled(job): ("cancelled, nothing charged", "Again"),
        job_cards.deleted(job): ("These images were deleted.",),
    }

    for shown, words in expected.items():
        html = views.message(job, shown)
        assert f'class="message {shown.kind}"' in html
        assert all(word in html for word in words), shown.kind


def test_the_grid_is_shown_as_its_single_pictures(views: Views) -> None:
    html = rendered(views, job_cards.done(a_job(id="abc", state=State.RENDERED, pictures=PICTURES)))

    assert re.findall(r"/pictures/abc/(-?\d)\.png", html) == ["0", "1", "2", "3"]


def test_private_cards_say_so(views: Views) -> None:
    job = a_job(private=True)

    assert "Only you" in views.message(job, job_cards.waiting(job, None))
    assert "Only you see this" in views.whisper(answers.help())


def test_what_people_type_is_escaped(views: Views) -> None:
    evil = "<script>alert(1)</script>\" onload='x"
    job = a_job(prompt=evil)
    shown = Card(
        kind="text", title=evil, facts=(evil,), body=(evil,), bar=Bar(done=0.5, label=evil), job=evil
    )

    for html in (views.message(job, shown), views.whisper(shown), str(avatar("<b>"))):
        assert "<script>" not in html and "onload='" not in html and "<b>" not in html.replace("<b class", "")


def test_rows_for_single_pictures_are_strips_with_a_caption() -> None:
    job = a_job(state=State.RENDERED, pictures=PICTURES)
    upscale, subtle, rest = strips(job_cards.done(job).rows)

    assert [upscale.caption, subtle.caption] == ["Upscale", "Vary (subtle)"]
    assert [label for label, _ in subtle.buttons] == ["V1", "V2", "V3", "V4"]
    assert [label for label, _ in rest.buttons] == ["Again", "Edit"]


def test_the_only_picture_has_words_in_one_row() -> None:
    job = a_job(state=State.RENDERED, pictures=PICTURES[1:2])
    (row,) = strips(job_cards.done(job).rows)

    assert [label for label, _ in row.buttons] == ["Upscale", "Vary (subtle)", "Again", "Edit"]
    assert not row.kind


def test_what_is_behind_the_dots_is_a_menu(views: Views) -> None:
    html = rendered(views, job_cards.done(a_job(id="abc", state=State.RENDERED, pictures=PICTURES)))
    _, menu = html.split("<details")
    menu, after = menu.split("</details>")

    of_each = ("vary_strong", "pick")
    assert re.findall(r'data-press="v1:(\w+)', menu) == [each for each in of_each for _ in range(4)] + [
        "region",
        "extend",
        "sizes",
        "info",
        "favourite",
        "download",
        "download_as",
        "alt",
        "enter",
        "delete",
        "report",
    ]
    assert re.findall(r'data-confirm="([^"]+)"', html) == ["Delete for good"]
    assert "data-press" not in after


def test_the_numbers_of_a_large_grid_are_strips() -> None:
    many = tuple(replace(PICTURES[0], index=index) for index in range(-1, 9))
    rows = strips(job_cards.done(a_job(state=State.RENDERED, pictures=many)).rows)

    assert [strip.kind for strip in rows] == ["strip", "strip", ""]


@pytest.mark.parametrize(
    ("done", "expected"),
    [(0.0, "painting-0"), (0.26, "painting-1"), (0.99, "painting-3"), (1.0, "painting-3")],
)
def test_a_screen_reader_hears_a_quarter_at_a_time(done: float, expected: str) -> None:
    assert stage(Card(kind="painting", bar=Bar(done=done, label=""))) == expected


def test_a_card_in_one_sentence() -> None:
    job = a_job(user="Ada")

    assert said(job_cards.waiting(job, QueuePosition(1, 40))) == (
        "Waiting: a red fox in snow, for @Ada, next in queue, about 40 s"
    )


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(512, 512, "a-10"), (640, 360, "a-18"), (1, 999, "a-5"), (999, 1, "a-25")],
)
def test_shapes_are_classes(width: int, height: int, expected: str) -> None:
    assert shape(CardPicture(alt="", width=width, height=height)) == expected
