"""The composer's text is the truth: chips read it and edit it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.typed import typed
from bot.adapters.web.composer import TO_TRY, Offered, chips, form_text, read
from bot.errors import Refusal
from bot.messages.types import Form
from bot.models import Preferences, Tier

EVERYONE = Tier(name="everyone", max_count=4)
MODELS = (("tiny", "Tiny: small drawings"), ("large", "Large"))
OFFERED = Offered(tier=EVERYONE, models=MODELS)


def test_chips_mirror_flags_and_plain_words_and_leave_the_text_alone() -> None:
    text = "two pictures of a  fox as pixel art, wide --seed 7 --no text, blur"

    reading = read(text, {})

    assert reading.text == text
    assert reading.said == {
        "count": "2",
        "style": "pixel-art",
        "aspect": "16:9",
        "seed": "7",
        "negative": "text, blur",
    }


@pytest.mark.parametrize(
    ("text", "option", "value", "expected"),
    [
        ("a fox", "style", "oil-painting", "a fox --style oil-painting"),
        ("a fox --style photo", "style", "", "a fox"),
        ("a fox as pixel art", "style", "photo", "a fox --style photo"),
        ("a fox", "negative", "text, blur", 'a fox --no "text, blur"'),
        ("", "aspect", "16:9", "--aspect 16:9"),
        ("--count 2", "count", "", ""),
        ("a fox --source abc:1 --strength 0.5", "source", "def:2", "a fox --source def:2 --strength 0.5"),
    ],
)
def test_a_chip_edits_the_text(text: str, option: str, value: str, expected: str) -> None:
    changed = read(text, {option: value}).text

    assert changed == expected
    assert read(changed, {}).said.get(option, "") == value


def test_strength_goes_with_a_source_that_comes_as_a_file() -> None:
    assert read("a fox", {"strength": "0.4"}, has_file=True).text == "a fox --strength 0.4"
    with pytest.raises(Refusal, match="source image"):
        read("a fox", {"strength": "0.4"})


def test_removing_the_source_removes_its_strength() -> None:
    assert read("a fox --source abc:1 --strength 0.5", {"source": ""}).text == "a fox"
    assert read("a fox --strength 0.5", {"source": ""}).text == "a fox"  # the source was a file


def test_a_file_takes_the_place_of_a_named_source() -> None:
    changed = read("a fox --source abc:1 --strength 0.5", {"source": ""}, has_file=True)

    assert changed.text == "a fox --strength 0.5"


def test_a_shape_takes_the_place_of_a_size() -> None:
    assert read("a fox --size 64x64", {"aspect": "16:9"}).text == "a fox --aspect 16:9"


def test_a_chip_with_a_value_out_of_range_says_what_is_allowed() -> None:
    with pytest.raises(Refusal, match="0 to"):
        read("a fox", {"seed": "-1"})


@given(text=st.text(max_size=60), chip=st.sampled_from(chips(OFFERED)), choice=st.integers(0, 100))
def test_a_chosen_chip_is_what_the_text_then_says(text: str, chip: object, choice: int) -> None:
    values = [value for value, _ in chip.choices] or ["7"]  # type: ignore[attr-defined]
    value, option = values[choice % len(values)], chip.option  # type: ignore[attr-defined]
    try:
        changed = read(text, {option: value})
    except Refusal:
        return
    assert changed.said[option] == value
    assert read(changed.text, {}).said[option] == value


def test_every_prompt_to_try_is_plain() -> None:
    assert len(TO_TRY) == 4
    assert all(read(text, {}).said == {} for text in TO_TRY)


def test_chips_offer_no_more_pictures_than_are_allowed() -> None:
    (count,) = [
        chip
        for chip in chips(replace(OFFERED, tier=replace(EVERYONE, max_count=3)))
        if chip.option == "count"
    ]

    assert [value for value, _ in count.choices] == ["1", "2", "3"]
    assert count.empty == "3"


def test_chips_show_what_holds_where_nothing_is_said() -> None:
    own = Preferences(style="oil-painting", model="large", count=9, aspect="16:9")
    shown = {chip.option: chip for chip in chips(replace(OFFERED, defaults=own))}

    assert {name: shown[name].empty for name in ("style", "model", "count", "aspect")} == {
        "style": "Oil painting",
        "model": "Large",
        "count": "4",  # no more than are allowed
        "aspect": "Wide 16:9",
    }
    assert dict(shown["style"].choices)["none"] == "none"  # a way back from it
    studio_s = {chip.option: chip for chip in chips(OFFERED)}
    assert [studio_s[name].empty for name in ("style", "model", "count", "aspect")] == [
        "none",
        "Tiny",
        "4",
        "square",
    ]
    assert "none" not in dict(studio_s["style"].choices)
    assert not studio_s["model"].more and studio_s["model"].choices == (("tiny", "Tiny"), ("large", "Large"))


def test_a_default_that_is_not_allowed_any_more_is_not_shown() -> None:
    gone = Preferences(style="noir", model="gone")
    shown = {chip.option: chip for chip in chips(replace(OFFERED, styles=[("ink", "Ink")], defaults=gone))}

    assert (shown["style"].empty, shown["model"].empty) == ("none", "Tiny")


def test_there_is_no_chip_where_there_is_one_thing_to_choose() -> None:
    one = replace(OFFERED, tier=replace(EVERYONE, max_count=1), models=MODELS[:1], styles=())
    private = replace(one, defaults=Preferences(private=True))

    assert not {"count", "model", "style"} & {chip.option for chip in chips(one)}
    assert "private" in {chip.option for chip in chips(one)} - {chip.option for chip in chips(private)}


def test_a_form_becomes_one_text() -> None:
    values = {"prompt": "a fox", "seed": "7", "negative": "text"}

    assert form_text(Form(command="imagine", title="Edit", values=values)) == "a fox --no text --seed 7"


@pytest.mark.parametrize(
    ("line", "command", "options"),
    [
        ("a red fox", "imagine", {"prompt": "a red fox"}),
        ("/imagine a fox --seed 7", "imagine", {"prompt": "a fox --seed 7"}),
        ("/queue", "queue", {}),
        ("/history fox in snow", "history", {"search": "fox in snow"}),
        ("/history fox --everyone", "history", {"search": "fox", "everyone": True}),
        ("/cancel 1a2b3c", "cancel", {"job": "1a2b3c"}),
        ("/VARY 1a2b 2 strong", "vary", {"job": "1a2b", "picture": "2", "strength": "strong"}),
        ("/settings style: oil painting count: 2", "settings", {"style": "oil painting", "count": "2"}),
        (
            '/settings --style "oil painting" --private',
            "settings",
            {"style": "oil painting", "private": True},
        ),
        ("/settings reset: yes", "settings", {"reset": "yes"}),
        ("/settings --count=2", "settings", {"count": "2"}),
        ("/settings reset", "settings", {"reset": True}),
        ("/settings style oil painting count 2", "settings", {"style": "oil painting", "count": "2"}),
        ("/settings oil-painting", "settings", {"style": "oil-painting"}),
        ("/history style guide", "history", {"search": "style guide"}),
    ],
)
def test_typed_commands(line: str, command: str, options: dict[str, object]) -> None:
    assert typed(line) == (command, options)


@pytest.mark.parametrize(
    ("line", "notice"),
    [
        ("/qeue", "Did you mean /queue"),
        ("/queue now", "does not take “now”"),
        ("/history --stile photo", "Did you mean --style"),
    ],
)
def test_what_cannot_be_understood_is_refused(line: str, notice: str) -> None:
    with pytest.raises(Refusal) as refused:
        typed(line)
    assert notice in refused.value.notice


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/privacy export", ("privacy export", {})),
        ("/privacy  export part: 2", ("privacy export", {"part": "2"})),
        ("/admin gift web:ana 60", ("admin person gift", {"person": "web:ana", "seconds": "60"})),
        ("/imagine\ta fox", ("imagine", {"prompt": "a fox"})),
        ("/link", ("link", {})),
        ("/link ABCDE-FGHJK", ("link", {"code": "ABCDE-FGHJK"})),
        ("/link --leave", ("link", {"leave": True})),
    ],
)
def test_commands_of_one_word_and_of_two_can_be_typed(line: str, expected: object) -> None:
    assert typed(line) == expected


@pytest.mark.parametrize("line", ["/", "/privacy", "/admin", "/admin nonsense", "/nonsense"])
def test_a_command_that_is_not_there_is_one_sentence(line: str) -> None:
    with pytest.raises(Refusal, match="There is no command"):
        typed(line)


def test_the_relax_chip_is_for_those_who_have_a_choice() -> None:
    offered = {chip.option for chip in chips(OFFERED)}
    assert "relax" in offered
    for alone in (("fast",), ("relax",)):
        assert "relax" not in {
            chip.option for chip in chips(replace(OFFERED, tier=replace(EVERYONE, priorities=alone)))
        }  # type: ignore[arg-type]
    assert read("a fox", {"relax": "yes"}).said["relax"] == "yes"
