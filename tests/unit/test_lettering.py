"""Words on pictures: they fit, they can be read, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import engine
from engine import lettering
from engine.errors import InvalidRequest
from engine.lettering import Lettering, MissingGlyphs, TooLong, setting
from engine.lettering.setting import CONTRAST, layout, set_on
from engine.types import GenerationRequest
from tests.bench import lettering as bench
from tests.bench.phrases import HEADLINES, texts

LANGUAGES = {
    "English": "Summer sale up to half price",
    "German": "Großer Sommerschlussverkauf für Ärzte",
    "French": "Soldes d’été, œuvres à moitié prix",
    "Polish": "Letnia wyprzedaż w Łodzi, źródło gęśli",
    "Vietnamese": "Giảm giá mùa hè đến một nửa",
    "Russian": "Летняя распродажа до пятидесяти процентов",
    "Greek": "Καλοκαιρινές εκπτώσεις έως πενήντα τοις εκατό",
    "Arabic": "تخفيضات الصيف الكبرى حتى ٥٠٪",
    "Hebrew": "מבצע קיץ גדול עד חצי מחיר",
    "Hindi": "गर्मियों की बड़ी सेल पचास प्रतिशत तक",
    "Chinese": "夏季大促销全场五折先到先得",
    "Japanese": "サマーセール開催中、半額まで",
    "Korean": "여름 세일 진행 중 최대 반값",
}
SIZES = ((512, 512), (768, 432), (432, 768), (1024, 1024), (256, 256))


def noisy(size: tuple[int, int], seed: int = 1) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    return Image.fromarray(values)


def changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    return (np.asarray(before) != np.asarray(after)).any(axis=2)


@pytest.mark.parametrize("place", lettering.PLACES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_is_set_in_every_place(language: str, place: str) -> None:
    for number, size in enumerate(SIZES[::2]):
        picture = noisy(size, number)

        done, boxes = set_on(picture, Lettering((LANGUAGES[language],), place))

        touched = changed(picture, done)
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
            touched[top:bottom, left:right] = False
        assert not touched.any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", lettering.STYLES)
def test_no_ink_leaves_the_picture(style: str, size: tuple[int, int]) -> None:
    blocks = layout(Lettering(("Ågypq ẤỆ jumping", "second line"), "top", style), size)

    for block in blocks:
        left, top, right, bottom = setting._ink(Image.new("RGB", (4000, 4000)), block)
        assert left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]


WORDS = st.text(st.sampled_from("abc ÄÖü WMil ñ éø Жщя Ωλ"), min_size=1, max_size=120)


@settings(max_examples=40, deadline=None)
@given(WORDS, st.sampled_from(lettering.PLACES), st.sampled_from(SIZES), st.sampled_from(lettering.STYLES))
def test_whatever_is_said_stands_inside_of_its_area_or_is_refused(
    text: str, place: str, size: tuple[int, int], style: str
) -> None:
    words = Lettering(tuple(filter(None, [lettering.clean(text)])), place, style)
    if not words.texts:
        return
    try:
        blocks = layout(words, size)
    except TooLong:
        return
    for block in blocks:
        font = setting._font(block.font, block.size)
        assert all(font.getlength(line) <= block.box[2] - block.box[0] for line in block.lines)
        assert "".join("".join(block.lines).split()) == "".join(words.texts[0].split())
        assert 0 <= block.box[1] and block.box[3] <= size[1]


@pytest.mark.parametrize("ground", ["white", "black", "red", "#777", "#0af", "yellow"])
@pytest.mark.parametrize("place", lettering.PLACES)
def test_type_can_be_read_on_any_ground(ground: str, place: str) -> None:
    assert least_contrast(Image.new("RGB", (512, 512), ground), place) >= CONTRAST


@pytest.mark.parametrize("place", lettering.PLACES)
def test_type_can_be_read_on_noise(place: str) -> None:
    assert least_contrast(noisy((512, 512)), place) >= CONTRAST


def least_contrast(picture: Image.Image, place: str) -> float:
    """Return the contrast of type and what is next to it: the ground, its outline, or its plate."""
    done, boxes = set_on(picture, Lettering(("HILL",), place))
    light = np.concatenate([setting._luminance(done.crop(box)).ravel() for box in boxes])
    own = [setting._luminance(Image.new("RGB", (1, 1), each))[0, 0] for each in ((255,) * 3, (17,) * 3)]
    counted = [(np.abs(light - each) < 1e-6).sum() for each in own]
    type_ = own[0] if counted[0] >= counted[1] else own[1]
    if min(counted) > 50:  # an outline of the opposite colour
        type_, next_to = own
        return (max(type_, next_to) + 0.05) / (min(type_, next_to) + 0.05)
    ground = np.percentile(light[np.abs(light - type_) > 0.2], 50)
    return (max(type_, ground) + 0.05) / (min(type_, ground) + 0.05)


def test_the_calmest_place_is_taken_and_variants_differ() -> None:
    picture = Image.new("RGB", (512, 512), "navy")
    picture.paste(noisy((512, 256)), (0, 256))

    boxes = [set_on(picture, Lettering(("SUMMER SALE",)), variant)[1][0] for variant in range(4)]

    assert boxes[0][3] < 256 and boxes[1][3] < 256
    assert len(set(boxes)) == 4


def test_a_larger_picture_has_the_same_layout() -> None:
    small = layout(Lettering(("Summer sale in Łódź", "up to half price"), "bottom"), (512, 512))
    large = layout(Lettering(("Summer sale in Łódź", "up to half price"), "bottom"), (2048, 2048))

    assert [each.lines for each in small] == [each.lines for each in large]
    for one, other in zip(small, large, strict=True):
        assert other.size == pytest.approx(4 * one.size, rel=0.1)
        assert other.box == pytest.approx(tuple(4 * each for each in one.box), abs=60)


def test_the_same_words_give_the_same_bytes() -> None:
    words = Lettering(("Summer sale",), "auto", "serif")

    assert set_on(noisy((512, 512)), words)[0].tobytes() == set_on(noisy((512, 512)), words)[0].tobytes()


def test_what_is_written_from_right_to_left_keeps_to_the_right() -> None:
    box = (0, 0, 400, 100)
    for text, is_right in (("שלום", True), ("hello", False), ("123 שלום", True)):
        block = setting.Block((text,), "sans", 30, box, left=True)
        ((x, _), _line) = setting._placed(block, setting._font("sans", 30))[0]
        assert (x > 200) == is_right


def test_faces_and_what_a_picture_shows_are_kept_clear() -> None:
    """A smooth disc has no detail, so that detail alone would not keep words off it."""
    picture = Image.new("RGB", (512, 512), "#d8e0f0")
    ImageDraw.Draw(picture).ellipse((96, 0, 416, 300), fill="#c03020")

    boxes = [set_on(picture, Lettering(("SUMMER SALE",)), variant)[1][0] for variant in range(4)]

    assert boxes[0][1] > 300 and boxes[1][1] > 300
    assert len(set(boxes)) == 4


def test_the_model_is_asked_for_room_where_the_words_will_stand() -> None:
    request = GenerationRequest(prompt="a beach", seed=1, lettering="SALE", lettering_place="top")

    assert lettering.with_room("a beach", request) == "a beach, plain empty space at the top"
    assert lettering.with_room("a beach::2 a dog", request).count("space at the top") == 2
    assert lettering.with_room("a beach", replace(request, lettering="")) == "a beach"


def test_a_broken_font_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (Path(engine.__file__).with_name("fonts") / "sans.ttf").read_bytes()
    (tmp_path / "sans.ttf").write_bytes(whole[:4000])
    monkeypatch.setattr(setting, "_FONTS", tmp_path)
    setting._font.cache_clear()
    setting._has.cache_clear()
    request = GenerationRequest(prompt="a beach", seed=1, count=1, lettering="SALE")
    try:
        with pytest.raises(InvalidRequest) as error:
            setting.lettered(Image.new("RGB", (256, 256)), request, 0)
    finally:
        setting._font.cache_clear()
        setting._has.cache_clear()

    assert "font" in str(error.value) and error.value.advice


def test_directions_that_are_mixed_in_one_line_are_set() -> None:
    done, boxes = set_on(Image.new("RGB", (512, 512), "navy"), Lettering(("Sale מבצע 50% تخفيضات",)))

    assert boxes and changed(Image.new("RGB", (512, 512), "navy"), done).any()


@pytest.mark.parametrize("language", HEADLINES)
def test_phrases_stand_readable_in_all_places_of_pictures(language: str) -> None:
    grounds = (noisy((512, 512)), Image.new("RGB", (640, 512), "#557799"))
    for number, pair in enumerate(texts(language)[::100]):
        for place in lettering.PLACES:
            words, count = Lettering(pair, place), bench.Count()
            bench.look_at(grounds[number % 2], words, count, twice=number == 0)
            wrong = (count.missing, count.too_long, count.overflow, count.faint, count.outside)
            assert (count.set, wrong, count.other_bytes) == (1, (0, 0, 0, 0, 0), 0)


@pytest.mark.parametrize(("text", "missing"), [("cake 🎂", "🎂"), ("ሰላም", "ሰላም"), ("a\U000e0001b", "")])
def test_what_no_font_has_is_named(text: str, missing: str) -> None:
    words = Lettering((lettering.clean(text),))
    if not missing:
        assert layout(words, (512, 512))
        return
    with pytest.raises(MissingGlyphs) as error:
        layout(words, (512, 512))

    assert error.value.characters == missing


@pytest.mark.parametrize("text", ["word " * 200, "w" * 300, "\n".join("abc" for _ in range(40))])
def test_what_fits_at_no_size_is_refused(text: str) -> None:
    with pytest.raises(TooLong):
        layout(Lettering((lettering.clean(text),), "label"), (256, 256))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("a\x00b\x07c", "abc"),
        (" a   b \r\n c ", "a b\nc"),
        ("e\u0301", "é"),
        ("\u202eabc\u202c", "abc"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_control_characters_are_left_out(said: str, kept: str) -> None:
    assert lettering.clean(said) == kept


def pieces(text: str) -> Sequence[str]:
    return setting._pieces(text)


def test_lines_are_broken_where_they_may_be() -> None:
    assert pieces("half-price sale") == ["half-", "price ", "sale"]
    assert pieces("大促销，限时") == ["大", "促", "销，", "限", "时"]
    assert pieces("「夏」セール") == ["「夏」", "セー", "ル"]
