from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import commands, prompts
from bot.errors import Refusal
from bot.models import Job, Member, Origin, Preferences
from bot.prompts import Draft, Source, left_out, parse, render
from engine.types import GenerationRequest, ImageToImage, ModelInfo, TextToImage
from tests.examples import a_tier

MODEL = ModelInfo(name="easel-tiny", title="Tiny", licence="MIT", width=512, height=512, steps=20, guidance=5)
PLAIN = replace(
    MODEL, name="plain", negative_prompt=False, tasks=frozenset(("text_to_image",)), max_steps=8, steps=4
)


def refusal(text: str, **options: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(text, options)
    assert caught.value.notice.endswith((".", "?"))
    return caught.value


# ---- flags


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ("a fox", Draft(prompt="a fox")),
        ("a fox --ar 16:9 --seed 7", Draft(prompt="a fox", aspect="16:9", seed=7)),
        ("--seed 7 a fox", Draft(prompt="a fox", seed=7)),
        ("a --seed 7 fox", Draft(prompt="a fox", seed=7)),
        ("a fox --seed=7 red", Draft(prompt="a fox red", seed=7)),
        ("a fox --no text, blurry --n 2", Draft(prompt="a fox", negative="text, blurry", count=2)),
        ('a fox --no "text" red', Draft(prompt="a fox red", negative="text")),
        ("a fox --style oil painting red", Draft(prompt="a fox red", style="oil-painting")),
        ('a fox --style "Oil Painting"', Draft(prompt="a fox", style="oil-painting")),
        ("a fox --style “oil painting”", Draft(prompt="a fox", style="oil-painting")),
        ("a fox --style 'oil painting'", Draft(prompt="a fox", style="oil-painting")),
        ("a fox --style „oil painting“", Draft(prompt="a fox", style="oil-painting")),
        ("a fox --style NONE", Draft(prompt="a fox", style="none")),
        ("a fox --private", Draft(prompt="a fox", private=True)),
        ("a --private fox", Draft(prompt="a fox", private=True)),
        ("a fox --private=no", Draft(prompt="a fox", private=False)),
        ("a fox --private no", Draft(prompt="a fox", private=False)),
        ("a fox --private Off --seed 7", Draft(prompt="a fox", private=False, seed=7)),
        ("a fox --relax yes", Draft(prompt="a fox", relax=True)),
        ("a fox --private no cats", Draft(prompt="a fox no cats", private=True)),
        ("a fox --size 512x768", Draft(prompt="a fox", size=(512, 768))),
        ("a fox --size 512×768", Draft(prompt="a fox", size=(512, 768))),
        ("a fox --size 512", Draft(prompt="a fox", size=(512, 512))),
        ("a fox --ar wide", Draft(prompt="a fox", aspect="16:9")),
        ("a fox --ar 2.39:1", Draft(prompt="a fox", aspect="2.39:1")),
        ("a fox --cfg 7.5 --steps 30", Draft(prompt="a fox", guidance=7.5, steps=30)),
        ("a fox --source 1a2b3c4d5e6f:2 --strength 0.3",
         Draft(prompt="a fox", source="1a2b3c4d5e6f:2", strength=0.3)),
        ("a fox —ar 16:9 –seed 7", Draft(prompt="a fox", aspect="16:9", seed=7)),
        ("a fox ——ar 16:9 —-seed 7 -no text", Draft(prompt="a fox", aspect="16:9", seed=7, negative="text")),
        ("a fox -ar 16:9", Draft(prompt="a fox", aspect="16:9")),
        ("a fox,—ar 16:9", Draft(prompt="a fox", aspect="16:9")),
        ("a fox --ar 16:9, red --seed 7,", Draft(prompt="a fox red", aspect="16:9", seed=7)),
        ("a fox, --ar 16:9", Draft(prompt="a fox,", aspect="16:9")),
        ("a fox --v 6.1 --s 250 --q 2 --ar 16:9", Draft(prompt="a fox", aspect="16:9")),
        ("a fox --tile --chaos 50 in snow", Draft(prompt="a fox in snow")),
        ("a fox --style raw", Draft(prompt="a fox", style="none")),
        ("a fox --niji 6", Draft(prompt="a fox", style="anime")),
        ("a fox --niji --style photo", Draft(prompt="a fox", style="photo")),
        ("a fox --iw 2 --source 1a:1", Draft(prompt="a fox", source="1a:1", strength=0.36)),
        ("a fox --iw 2", Draft(prompt="a fox")),
        ("a fox --sref https://a.b/x.png https://a.b/y.png --seed 7", Draft(prompt="a fox", seed=7)),
        ("a fox —v 6", Draft(prompt="a fox")),
        ("A FOX --AR 16:9 --Seed 7", Draft(prompt="A FOX", aspect="16:9", seed=7)),
    ],
)  # fmt: skip
def test_flags(text: str, draft: Draft) -> None:
    assert parse(text) == draft


@pytest.mark.parametrize(
    "text",
    [
        "a fox -- in snow",
        "well--known fox",
        "a fox —sleepy and small— in snow",
        "a fox — 3 of them",
        'a tattoo of "use --force"',
        'a “--seed 7” tattoo, red',
        "a 5\" floppy and a 3.5\" one",
        "50% off, #1 {fox} \\ (fox:1.2) [fox] <lora:x>",
        "a family portrait",
        "a mountain landscape",
        "an old town square",
        "eyes open wide",
        "a tower, 100 m tall",
        "a clock, 10:10",
        "a cat dressed as a sticker",
        "as pixel art",
        "some pictures of a fox",
        "20 pictures of a fox",
        "a picture of a fox",
        "a wide river in a wide valley",
        "a portrait of a fox in oils",
    ],
)  # fmt: skip
def test_what_belongs_to_the_picture_stays_in_the_prompt(text: str) -> None:
    assert parse(text) == Draft(prompt=text)


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ('a sign that says "use --force"', Draft(prompt="a sign", text="use --force")),
        ("a sign that says “--seed 7”, red", Draft(prompt="a sign, red", text="--seed 7")),
        ("ein Plakat mit der Aufschrift „Räumung“", Draft(prompt="ein Plakat", text="Räumung")),
        ("une affiche avec le texte « Soldes »", Draft(prompt="une affiche", text="Soldes")),
        ("a poster titled “A | B” --seed 7", Draft(prompt="a poster", text="A | B", seed=7)),
    ],
)
def test_words_in_quotation_marks_are_set_as_type_where_they_are_asked_for(text: str, draft: Draft) -> None:
    assert parse(text) == draft


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ("a fox as pixel art", Draft(prompt="a fox", style="pixel-art")),
        ("a fox, as an oil painting.", Draft(prompt="a fox", style="oil-painting")),
        ("a fox in watercolor style", Draft(prompt="a fox", style="watercolour")),
        ("a fox in 16:9", Draft(prompt="a fox", aspect="16:9")),
        ("a fox, 16:9", Draft(prompt="a fox", aspect="16:9")),
        ("a fox, wide", Draft(prompt="a fox", aspect="16:9")),
        ("a fox in portrait format", Draft(prompt="a fox", aspect="3:4")),
        ("a fox, landscape orientation", Draft(prompt="a fox", aspect="4:3")),
        ("a fox, portrait", Draft(prompt="a fox, portrait", aspect="3:4")),
        ("four pictures of a fox", Draft(prompt="a fox", count=4)),
        ("One picture of a fox", Draft(prompt="a fox", count=1)),
        ("2 images of a fox as pixel art, wide",
         Draft(prompt="a fox", count=2, style="pixel-art", aspect="16:9")),
        ("two pictures of a woman, portrait", Draft(prompt="a woman, portrait", count=2, aspect="3:4")),
        ("a fox as pixel art --style photo", Draft(prompt="a fox as pixel art", style="photo")),
        ("a fox, wide --ar 1:1", Draft(prompt="a fox, wide", aspect="1:1")),
        ("a fox, wide --size 512", Draft(prompt="a fox, wide", size=(512, 512))),
    ],
)  # fmt: skip
def test_plain_words(text: str, draft: Draft) -> None:
    assert parse(text) == draft


def test_options_beside_the_text_mean_what_flags_mean() -> None:
    flags = 'a fox --ar wide --seed 7 --no text --style "oil painting" --n 2 --cfg 7.5 --private'
    options = {
        "aspect": "wide",
        "seed": 7,
        "negative": "text",
        "style": "Oil painting",
        "count": 2,
        "guidance": 7.5,
        "private": True,
        "steps": None,
        "model": "",
    }
    assert parse("a fox", options) == parse(flags)


def test_what_cannot_be_seen_is_taken_out() -> None:
    assert parse("a\tred\r\n\x00fox\x1b\u200b \u202egnp\u2066\ufeff\ud800") == Draft(prompt="a red fox gnp")
    assert parse("👩‍🚀 on the moon").prompt == "👩‍🚀 on the moon"
    assert parse("می‌خواهم").prompt == "می‌خواهم"
    assert parse("🦊🌲").prompt == "🦊🌲"
    assert parse("fox", {"negative": "te\x00xt\n\n"}).negative == "text"


@pytest.mark.parametrize(
    ("text", "notice", "offer"),
    [
        ("fox --aspct 16:9 --seed 7",
         "There is no flag --aspct. Did you mean --aspect?", "fox --aspect 16:9 --seed 7"),
        ("fox --zebra 5 red", "There is no flag --zebra. There are --no, ", "fox red"),
        ("fox --prompt x", "There is no flag --prompt. ", "fox x"),
        ("--zebra", "There is no flag --zebra. ", ""),
        ("fox --seed", "--seed needs a value, for example --seed 7.", "fox"),
        ("fox --seed --ar 16:9", "--seed needs a value", "fox --ar 16:9"),
        ("fox --no", "--no needs a value", "fox"),
        ('fox --no " "', "--no needs a value", "fox"),
        ("fox --seed 7 --seed 8", "Seed is given twice. Keep one --seed.", "fox --seed 7"),
        ("fox --ar 16:9 --aspect 1:1 red", "Aspect is given twice", "fox --ar 16:9 red"),
        ("fox --seed x --n 2", "Seed takes a whole number from 0 to 4294967295; “x” is not one.",
         "fox --count 2"),
        ("fox --steps 500", "Steps can be 1 to 150; you asked for 500.", "fox --steps 150"),
        ("fox --n 99", "Count can be 1 to 16; you asked for 99.", ""),
        ("fox --n 0", "Count can be 1 to 16; you asked for 0.", "fox --count 1"),
        ("fox --cfg nan", "Guidance takes a number from 0 to 30; “nan” is not one.", "fox"),
        ("fox --cfg -inf", "Guidance can be 0 to 30; you asked for -inf.", "fox --guidance 0"),
        ("fox --ar 5:0", "Aspect can be 1:4 to 4:1; you asked for 5:0.", "fox --aspect 16:9"),
        ("fox --ar 9:1", "Aspect can be 1:4 to 4:1; you asked for 9:1.", "fox --aspect 16:9"),
        ("fox --ar widde", "Aspect can be square, portrait, landscape, wide, tall or a ratio",
         "fox --aspect wide"),
        ("fox --size big", "Size takes width × height in pixels, as in 512x768; “big” is not that.", "fox"),
        ("fox --style watercolr --n 2", "There is no style “watercolr”. Did you mean watercolour?",
         "fox --count 2 --style watercolour"),
        ("fox --style quux", "There is no style “quux”. /styles shows them all.", "fox"),
        ("fox --ar 1:1 --size 512", "Give a size or an aspect ratio, not both.", "fox --size 512x512"),
        ("fox --strength 0.5", "Strength needs a source image", "fox"),
        ("fox --source ../etc/passwd", "Source takes a file or a job's image", "fox"),
        ("--seed 7", "The prompt is empty.", ""),
        ("\u200d\u0301", "The prompt is empty.", ""),
        ("x" * 4001, "A prompt may have 4,000 characters; this has 4,001. Shorten it.", ""),
    ],
)  # fmt: skip
def test_refusals_say_what_is_allowed_and_offer_what_works(text: str, notice: str, offer: str) -> None:
    found = refusal(text)
    assert notice in found.notice
    assert [each.text for each in found.offers][:1] == ([offer] if offer else [])
    for each in found.offers:
        assert len(each.label) <= 34
        assert parse(each.text)


def test_an_option_and_a_flag_that_say_the_same_thing_are_twice() -> None:
    assert "Seed is given twice" in refusal("fox --seed 7", seed=7).notice
    assert "option of /imagine called sede. Did you mean seed?" in refusal("fox", sede=7).notice


def test_offers_keep_the_options_beside_the_text() -> None:
    [offer] = refusal("fox --sed 7", count=2).offers
    assert parse(offer.text) == Draft(prompt="fox", seed=7, count=2)


# ---- properties

PIECES = st.sampled_from(
    "a fox red --seed 7 --no text, --style oil painting photo \" “ ” ' — —ar 16:9 --ar wide tall, square "
    "portrait, as in pixel art --private --private=no = -- --x \\ four pictures of 3 images 9 : × 512x512 "
    "--size --source abc:1 --strength 0.5 --n 2 --cfg nan . , \u200b 🦊 ) ( style format "
    '--no="a --b" "--b"'.split(" ")
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(PIECES, max_size=14).map(" ".join),
    st.lists(PIECES, max_size=10).map("".join),
)


@settings(max_examples=400)
@given(text=TEXTS)
@example('"x --no "q" y " --b" z')
@example("two pictures of a fox as photo, portrait")
@example("fox, --seed 7 wide")
@example("0 ,16:9")
@example('0 --NO=" x "')
@example('" --no ,')
@example('"3d" --style 3d render "')
@example('0 --NO="0 \\ 0"')
def test_any_text_parses_or_is_refused_and_comes_back_from_its_rendering(text: str) -> None:
    try:
        draft = parse(text)
    except Refusal as error:
        assert error.notice
        return
    assert parse(render(draft)) == draft
    values = prompts.said(draft)
    assert parse(values.pop("prompt"), values) == draft


DRAFTS = st.builds(
    Draft,
    prompt=st.sampled_from(["a fox", 'a "red --fox" box', "fox, portrait", "🦊", "a fox as pixel art"]),
    negative=st.sampled_from(["", "text", 'a "b" --c \\ d', "--ar 1:1", "'x'"]),
    aspect=st.sampled_from(["16:9", "2.39:1"]),
    count=st.integers(1, 16),
    seed=st.none() | st.integers(0, 2**32 - 1),
    steps=st.none() | st.integers(1, 150),
    guidance=st.none() | st.floats(0, 30),
    style=st.sampled_from(["photo", "none", "3d"]),
    model=st.sampled_from(["", "owner/model-1.0", "/a folder/with spaces", "C:\\models\\x"]),
    source=st.just("1a2b3c4d5e6f:source"),
    strength=st.none() | st.floats(0, 1),
    private=st.none() | st.booleans(),
)


@given(draft=DRAFTS)
def test_a_draft_comes_back_from_its_rendering(draft: Draft) -> None:
    assert parse(render(draft)) == draft


NAMES = [option.name for option in commands.command("imagine").options]
VALUES = st.one_of(
    st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=4)
)


@given(options=st.dictionaries(st.sampled_from([*NAMES, "nonsense"]), VALUES, max_size=4))
def test_any_options_are_understood_or_refused(options: dict[str, Any]) -> None:
    try:
        draft = parse("a fox", options)
    except Refusal as error:
        assert error.notice
    else:
        assert draft.prompt == "a fox"


def test_a_long_text_takes_no_time() -> None:
    # Quadratic reading would take minutes here.
    for piece in ('" ', "a as ", "--", "—ar", "“", ", wide", "'", '\\"'):
        with pytest.raises(Refusal):
            parse(piece * 20_000 + "x")


# ---- to a request


def composed(
    text: str, model: ModelInfo = MODEL, *, max_count: int = 4, source: Source | None = None
) -> GenerationRequest:
    return prompts.compose(parse(text), [model, PLAIN], a_tier(max_count=max_count), source)


def test_the_model_decides_what_nobody_said() -> None:
    request = composed("a fox")
    assert (request.width, request.height, request.steps, request.guidance) == (512, 512, 20, 5)
    assert (request.model, request.count, request.task) == ("easel-tiny", 4, TextToImage())
    assert composed("a fox").seed != request.seed
    assert composed("a fox", max_count=2).count == 2


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        ("1:1", (512, 512)),
        ("16:9", (680, 384)),
        ("9:16", (384, 680)),
        ("4:1", (1024, 256)),
        ("2.39:1", (792, 328)),
    ],
)
def test_a_shape_keeps_the_models_area(aspect: str, size: tuple[int, int]) -> None:
    request = composed(f"a fox --ar {aspect}")
    assert (request.width, request.height) == size
    assert abs(request.width * request.height / 512**2 - 1) < 0.03


def test_a_style_is_fitted_to_the_model() -> None:
    request = composed("a fox --style 3d --no trees")
    assert (request.prompt, request.negative_prompt) == ("a fox, 3d", "trees")
    other = composed("a fox --style 3d", replace(MODEL, name="sdxl"))
    assert other.prompt.startswith("a fox, 3d render") and other.negative_prompt
    assert composed("a fox --style 3d --model plain").negative_prompt == ""


def test_a_source_gives_its_shape_and_a_strength() -> None:
    source = Source(blob="x.png", width=1600, height=900)
    request = composed("a fox", source=source)
    assert request.task == ImageToImage(source="x.png", strength=0.6)
    assert (request.width, request.height) == (680, 384)
    assert composed("a fox --ar 1:1", source=source).width == 512
    assert composed("a fox", source=replace(source, width=90_000)).width == 1024


@pytest.mark.parametrize(
    ("text", "notice", "offer"),
    [
        ("fox --n 12", "That is 12 images; you may have 4 at once. Try --count 4.", "fox --count 4"),
        ("fox --steps 101", "easel-tiny takes 1 to 100 steps; you asked for 101.", "fox --steps 100"),
        ("fox --model easel-tny", "There is no model “easel-tny”. There are easel-tiny and plain.",
         "fox --model easel-tiny"),
        ("fox --size 0", "sides from 64 to 2048 pixels, in steps of 8; you asked for 0 × 0",
         "fox --size 64x64"),
        ("fox --size -1", "you asked for -1 × -1", "fox --size 64x64"),
        ("fox --size 1000000000", "you asked for 1000000000 × 1000000000", "fox --size 2048x2048"),
        ("fox --size 63x500", "you asked for 63 × 500. Try --size 64x496.", "fox --size 64x496"),
        ("fox --no trees --model plain", "plain takes no negative prompt.", "fox --model plain"),
    ],
)  # fmt: skip
def test_what_the_model_cannot_do_is_refused_with_what_it_can(text: str, notice: str, offer: str) -> None:
    with pytest.raises(Refusal) as caught:
        composed(text)
    assert notice in caught.value.notice
    assert [each.text for each in caught.value.offers] == [offer]
    assert composed(offer)


def test_a_model_without_image_to_image() -> None:
    with pytest.raises(Refusal, match="plain takes no image prompt"):
        composed("fox --model plain", source=Source(blob="x.png", width=1, height=1))


def test_a_model_that_only_changes_pictures() -> None:
    changes = replace(MODEL, name="changes", tasks=frozenset({"image_to_image"}))
    source = Source(blob="x.png", width=64, height=64)

    def asked(text: str, given: Source | None, *models: ModelInfo) -> GenerationRequest:
        return prompts.compose(replace(parse(text), source="x:1" if given else ""), models, a_tier(), given)

    assert asked("fox", source, changes).task == ImageToImage(source="x.png", strength=0.6)
    for text, picture, models, offer in (
        ("fox", None, (changes,), []),
        ("fox", None, (changes, MODEL), [f"fox --model {MODEL.name}"]),
        ("fox --source x:1 --strength 1", source, (changes,), ["fox --source x:1"]),
    ):
        with pytest.raises(Refusal, match="changes only changes images") as caught:
            asked(text, picture, *models)
        assert [each.text for each in caught.value.offers] == offer


def filled_in(text: str, preferences: Preferences) -> Draft:
    return prompts.with_defaults(parse(text), preferences, [MODEL, PLAIN], a_tier(max_count=4))


def test_preferences_stand_in_for_what_was_not_said() -> None:
    mine = Preferences(style="photo", count=2, aspect="16:9", private=True)
    filled = filled_in("a fox", mine)
    assert (filled.style, filled.count, filled.aspect, filled.private) == ("photo", 2, "16:9", True)
    said = filled_in("a fox --style none --n 1 --size 64 --private=no", mine)
    assert (said.style, said.count, said.aspect, said.private) == ("none", 1, "", False)
    assert filled_in("a fox", Preferences(model="plain")).model == "plain"


def test_preferences_that_no_longer_hold_are_left_out() -> None:
    filled = filled_in("a fox", Preferences(style="of old", model="of old", count=16))
    assert (filled.style, filled.model, filled.count) == ("", "", 4)
    assert filled_in("a fox --model of-old --n 16", Preferences()) == parse("a fox --model of-old --n 16")


def test_without_preferences_a_draft_stays_as_it_is() -> None:
    assert filled_in("a fox", Preferences()) == parse("a fox")
    with pytest.raises(Refusal) as caught:
        prompts.compose(filled_in("12 pictures of foxes", Preferences()), [MODEL], a_tier(max_count=4))
    assert [offer.text for offer in caught.value.offers] == ["foxes --count 4"]


# ---- from a job


@pytest.mark.parametrize(
    "text",
    [
        "a fox --seed 7 --count 4",
        "a fox --seed 7 --count 1 --ar 16:9 --style 3d --no trees --steps 9 --cfg 2.5 --private",
        "a fox, portrait --seed 7 --count 2 --size 640x104",
        "a fox --seed 7 --count 2 --model plain",
        "a sign: “--no” --seed 7 --count 2",
    ],
)
def test_a_job_recalls_the_text_that_paints_it(text: str) -> None:
    draft = parse(text)
    request = prompts.compose(draft, [MODEL, PLAIN], a_tier(max_count=4))
    member = Member(tenant="t", id="m", name="M")
    origin = Origin(surface="s", member=member, channel="c", event="e", private=bool(draft.private))
    style = draft.style
    job = Job(
        id="abc", origin=origin, request=request, prompt=draft.prompt, style=style, created=datetime.now(UTC)
    )
    recalled = prompts.recall(job, [MODEL, PLAIN])

    assert parse(render(recalled)) == recalled
    assert prompts.compose(recalled, [MODEL, PLAIN], a_tier(max_count=4)) == request


# ---- what a model does not take


KNOWING = replace(MODEL, schedulers=("euler", "ddim"))


@pytest.mark.parametrize(
    ("text", "model", "notice", "offer"),
    [
        ("fox --scheduler euler", MODEL, "easel-tiny takes no scheduler. Leave --scheduler out.", "fox"),
        ("fox --scheduler sparkle", KNOWING,
         "easel-tiny knows the schedulers euler, ddim; you asked for “sparkle”.", "fox"),
        ("fox --sampler Eular", KNOWING,
         "easel-tiny knows the schedulers euler, ddim; you asked for “eular”.", "fox --scheduler euler"),
    ],
)  # fmt: skip
def test_an_option_that_the_model_does_not_take_is_refused(
    text: str, model: ModelInfo, notice: str, offer: str
) -> None:
    with pytest.raises(Refusal) as caught:
        prompts.compose(parse(text), [model], a_tier())

    assert caught.value.notice == notice
    assert [each.text for each in caught.value.offers] == [offer]


def test_a_strength_is_refused_by_a_model_that_paints_by_examples() -> None:
    draft, source = parse("fox --source a1:1 --strength 0.3"), Source(blob="x", width=64, height=64)
    model = replace(MODEL, strength=False)

    with pytest.raises(Refusal, match=r"without a strength. Leave --strength out\.") as caught:
        prompts.compose(draft, [model], a_tier(), source)

    assert [each.text for each in caught.value.offers] == ["fox --source a1:1"]
    prompts.compose(replace(draft, strength=None), [model], a_tier(), source)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("a fox --ar 16:9 --no text", ()),
        ("a fox --v 6 --s 250 --v 5", ("--v", "--s")),
        ("a fox --niji 6 --iw 1", ("--iw",)),
        ("a fox --iw 1 --source 1a:1", ()),
        ('a sign that says "--v 6"', ()),
    ],
)
def test_what_other_tools_have_alone_is_left_out_and_named(text: str, flags: tuple[str, ...]) -> None:
    assert left_out(text) == flags


@pytest.mark.parametrize("text", ["a well -known fox", "a fox -r", "a -5 mark", "black—white"])
def test_a_hyphen_is_no_flag_before_other_words(text: str) -> None:
    assert parse(text).prompt == text
