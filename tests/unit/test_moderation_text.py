from __future__ import annotations

import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.moderation import (
    LIKENESS,
    MINORS,
    NOTICES,
    OWN,
    STRICTNESS,
    ModerationRules,
    Strictness,
    TextVerdict,
    judge,
    terms,
)
from bot.moderation.normalize import plain, readings
from bot.moderation.text import _worst
from tests.redteam import make, measure


@pytest.mark.parametrize(
    ("disguised", "read"),
    [
        ("NUDE", "nude"),
        ("ｎｕｄｅ", "nude"),  # fullwidth
        ("𝓷𝓾𝓭𝓮", "nude"),  # mathematical
        ("ⓝⓤⓓⓔ", "nude"),  # circled
        ("🅽🆄🅳🅴", "nude"),  # boxed
        ("🇳🇺🇩🇪", "nude"),  # flags
        ("ɴᴜᴅᴇ", "nude"),  # small capitals
        ("nudе", "nude"),  # a Cyrillic е
        ("ոսdе", "nude"),  # Armenian and Cyrillic
        ("ñúdé", "nude"),
        ("n̶u̶d̶e̶", "nude"),
        ("n\u200bu\u200cd\u200de\u2060", "nude"),
        ("n\u00adu\u034fd\u115fe\u3164", "nude"),
        ("Straße", "strasse"),
        ("łódź", "lodz"),
    ],
)
def test_what_looks_like_a_word_is_read_as_it(disguised: str, read: str) -> None:
    assert plain(disguised) == read


@pytest.mark.parametrize(
    ("disguised", "word"),
    [
        ("n u d e", "nude"),
        ("n.u.d.e", "nude"),
        ("n🍑u🍑d🍑e", "nude"),
        ("n u d e w o m a n", "nude"),
        ("nu-de", "nude"),
        ("nu_de", "nude"),
        ("nu de", "nude"),
        ("nuuuude", "nude"),
        ("nnuuddee", "nude"),
        ("uunnddrreesssseedd", "undressed"),
        ("nud3", "nude"),
        ("p0rn", "porn"),
        ("s€x", "sex"),
        ("1esbian", "lesbian"),
        ("b1tten", "bitten"),
        ("\u202eedun\u202c", "nude"),
        ("n4-k3-d", "naked"),
    ],
)
def test_a_disguise_is_undone_in_one_of_the_readings(disguised: str, word: str) -> None:
    assert any(word in each.replace("|", " ").split() for each in readings(disguised))


@given(st.text(max_size=300))
@example("\u202e" * 50)
@example("﷽" * 100)
@example("a" + "\u0301" * 200)
def test_every_text_can_be_read_and_judged(text: str) -> None:
    for each in readings(text):
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in each)
    assert judge([text]).category in {"", *NOTICES}


@pytest.mark.parametrize(
    "text",
    [
        "a " * 2000,
        "p0rn aaa h-ey " * 280,
        "a*" * 2000,
        "****" * 1000,
        "a_" * 2000,
        "\u202e" * 4000,
        "ẵ" * 4000,
    ],
    ids=["letters", "mixed", "stars", "only stars", "underscores", "overrides", "marks"],
)
def test_no_text_of_4000_characters_takes_long(text: str) -> None:
    judge(["warm"])
    start = time.process_time()
    judge([text])
    assert time.process_time() - start < 10  # 0.6 s at most on busy cores


@pytest.mark.parametrize("half", measure.HALVES)
def test_the_corpus_is_large_and_in_two_halves(half: str) -> None:
    lines = list(measure.bad(half))
    assert len(lines) >= 150 and len(list(measure.good(half))) >= 150
    assert {category for category, *_ in lines} == {
        MINORS,
        LIKENESS,
        "sexual",
        "violence",
        "hate",
        "self_harm",
        "people",
    }


def test_the_corpus_is_what_its_recipe_makes() -> None:
    written = (make.HERE / "bad.tsv").read_text(encoding="utf-8")
    assert written == "".join("\t".join(row) + "\n" for row in make.rows())


def test_recall_on_the_half_that_was_not_tuned_on() -> None:
    scores = measure.recall("test")
    least = {MINORS: 0.94, LIKENESS: 0.9}
    for category, score in scores.items():
        assert score.rate >= least.get(category, 0.95), (category, score.wrong)


def test_the_documentation_tells_what_was_measured() -> None:
    page = (Path(__file__).parents[2] / "docs" / "moderation.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\w+) \| (\d+ of \d+) \|$", page, re.MULTILINE)
    scores = measure.recall("test")
    assert told == [(name, f"{score.refused} of {score.lines}") for name, score in scores.items()]
    good = measure.false_positives("test")
    assert f"Of {good.lines} requests to paint that only look bad, {good.refused} were refused." in page


def test_every_plain_line_is_refused() -> None:
    for half in measure.HALVES:
        assert measure.recall(half, "disguise")["as it is"].wrong == []


def test_false_positives_on_the_half_that_was_not_tuned_on() -> None:
    assert measure.false_positives("test").rate <= 0.015
    assert measure.false_positives("dev").wrong == []


# ---- the hard block


@pytest.mark.parametrize(
    ("words", "negative"),
    [
        ("a nude child", ""),
        ("a 12 year old, naked", ""),
        ("twelve years old, erotic", ""),
        ("12yo lingerie", ""),
        ("aged 9, topless", ""),
        ("ein 12-jähriges Kind, nackt", ""),
        ("a child", "clothes"),
        ("a nude model", "adults"),
        ("kids in a park", "not fucking"),
        ("a sexy teen", ""),
        ("n u d e c h i l d", ""),
        ("1 2  y e a r  o l d, nude", ""),
    ],
)
def test_the_hard_block_holds_under_all_rules(words: str, negative: str) -> None:
    for strictness in STRICTNESS:
        for adult in (False, True):
            allowed = ("child", "nude", "a nude child", "*", "12 year old")
            rules = ModerationRules(strictness=strictness, adult=adult, allowed=allowed)
            assert judge([words], [negative], rules).category == MINORS


def test_the_hard_block_joins_what_stands_apart() -> None:
    assert judge(["a child", "nude, oil painting"]).category == MINORS


@pytest.mark.parametrize(
    ("words", "certain"),
    [("a nude child", True), ("a 9 year old, nude", True), ("a nude teen", False), ("a nude baby", False)],
)
def test_only_what_cannot_be_meant_otherwise_is_a_strike(words: str, certain: bool) -> None:
    assert judge([words]).certain is certain


@pytest.mark.parametrize(
    ("words", "negative"),
    [
        ("children playing", "nsfw, nude, nudity"),
        ("a 12 year old whisky", ""),
        ("a naked mole rat with its child", ""),
        ("a kind man, nude colored lipstick", ""),
        ("a class about sex education for kids", ""),
    ],
)
def test_keeping_nudity_out_and_ordinary_expressions_are_fine(words: str, negative: str) -> None:
    assert judge([words], [negative]).category == ""


# ---- rules


@pytest.mark.parametrize(
    ("words", "least"),
    [
        ("hardcore porn", "relaxed"),
        ("a nude woman", "standard"),
        ("lingerie", "strict"),
        ("a snuff film", "relaxed"),
        ("a severed head", "standard"),
        ("a pistol", "strict"),
        ("sieg heil", "relaxed"),
        ("a swastika", "standard"),
        ("cutting herself", "relaxed"),
        ("suicide", "standard"),
        ("donald trump", "standard"),
    ],
)
def test_each_strictness_refuses_what_looser_ones_do_and_more(words: str, least: str) -> None:
    refused = [each for each in STRICTNESS if judge([words], rules=ModerationRules(strictness=each)).category]
    assert refused == list(STRICTNESS[STRICTNESS.index(least) :])  # type: ignore[arg-type]


@pytest.mark.parametrize("strictness", STRICTNESS)
@pytest.mark.parametrize(
    ("words", "outside", "age_restricted"),
    [
        ("hardcore porn", ("relaxed", "standard", "strict"), ("strict",)),
        ("a nude woman", ("standard", "strict"), ("strict",)),
        ("lingerie", ("strict",), ("strict",)),
        ("a severed head", ("standard", "strict"), ("standard", "strict")),
        ("a snuff film", ("relaxed", "standard", "strict"), ("relaxed", "standard", "strict")),
        ("a red fox", (), ()),
    ],
)
def test_an_age_restricted_channel_allows_what_is_sexual_unless_it_is_strict_there(
    words: str, outside: tuple[str, ...], age_restricted: tuple[str, ...], strictness: Strictness
) -> None:
    for adult, refused in ((False, outside), (True, age_restricted)):
        rules = ModerationRules(strictness=strictness, adult=adult)
        assert bool(judge([words], rules=rules).category) == (strictness in refused), (adult, strictness)


@pytest.mark.parametrize(
    ("words", "category", "certain"),
    [
        ("a nude woman and a severed head", "sexual", False),
        ("a severed head and a nude woman", "sexual", False),
        ("a swastika and a nude woman", "hate", False),
        ("suicide, a nude woman", "self_harm", False),
        ("broccoli and a severed head", OWN, False),
        ("broccoli and sieg heil", "hate", True),  # what is a strike is told first
        ("a red fox", "", False),
    ],
)
def test_of_several_categories_one_is_told_and_always_the_same(
    words: str, category: str, certain: bool
) -> None:
    verdict = judge([words], rules=ModerationRules(blocked=("broccoli",)))
    assert (verdict.category, verdict.certain) == (category, certain)


def test_what_is_certain_is_told_before_what_comes_first_in_the_alphabet() -> None:
    assert judge(["cutting herself, sieg heil, a nude woman"]).category == "hate"
    assert judge(["acme, sieg heil"], rules=ModerationRules(blocked=("acme",))).certain
    mixed = [
        terms.TermGroup(category="animals", name="a"),
        terms.TermGroup(category="zoo", name="b", certain=True),
    ]
    assert _worst(mixed) == mixed[1] and _worst(mixed[:1]) == mixed[0] and _worst([]) is None


@pytest.mark.parametrize(
    ("avoided", "category"),
    [
        ("nude", ""),  # may be kept out
        ("gore", ""),
        ("suicide", ""),
        ("fucking", "sexual"),  # may not even be named
        ("a swastika", "hate"),
        ("broccoli", OWN),
    ],
)
def test_what_is_kept_out_is_refused_where_no_one_keeps_it_out(avoided: str, category: str) -> None:
    assert judge(["a fox"], [avoided], ModerationRules(blocked=("broccoli",))).category == category


@pytest.mark.parametrize(
    ("words", "negative", "minors"),
    [
        ("a child in a park", "", True),
        ("a 9 year old in a park", "", True),
        ("a teen in a park", "", True),
        ("a woman in a park", "child", False),
        ("a swastika and a child", "", True),
        ("donald trump naked", "", False),
    ],
)
def test_minors_are_noticed_whatever_else_is_found(words: str, negative: str, minors: bool) -> None:
    assert judge([words], [negative]).minors is minors


def test_real_people_in_sexual_content_are_a_strike_and_elsewhere_they_are_not() -> None:
    assert judge(["taylor swift naked"]).certain
    assert not judge(["taylor swift singing"]).certain
    assert judge(["taylor swift"], ["naked"]).category == "people", "nobody asked for nudity"


def test_a_name_that_a_place_excuses_is_no_real_person_there() -> None:
    assert judge(["taylor swift naked"], rules=ModerationRules(allowed=("taylor swift",))) == TextVerdict(
        category="sexual"
    )


@pytest.mark.parametrize(
    ("words", "certain"),
    [
        (("a child", "nude"), True),
        (("a teen", "nude"), False),
    ],
)
def test_the_hard_block_is_told_as_a_strike_where_it_is_one(words: tuple[str, str], certain: bool) -> None:
    assert judge(words) == TextVerdict(category=MINORS, certain=certain, minors=True)
    assert judge(["a child"], ["clothes"]) == TextVerdict(category=MINORS, certain=False, minors=True)


def test_an_excuse_covers_what_is_inside_of_it_and_no_more() -> None:
    rules = ModerationRules(allowed=("nude beach", "beach house"))
    for fine in ("nude beach", "a nude beach house", "nude beach, nude beach"):
        assert judge([fine], rules=rules).category == "", fine
    for refused in ("nude", "nude nude beach", "nude beach nude", "beach house, nude"):
        assert judge([refused], rules=rules).category == "sexual", refused


@pytest.mark.parametrize(
    ("starred", "category"),
    [
        ("n*de", "sexual"),
        ("n#de", "sexual"),
        ("b*occoli", OWN),
        ("br*ccoli and f*x", OWN),
        ("undr*ssing", "sexual"),  # of a stem
        ("n*dd", ""),
        ("f*x", ""),
    ],
)
def test_a_starred_word_is_read_as_the_one_it_hides(starred: str, category: str) -> None:
    assert judge([starred], rules=ModerationRules(blocked=("broccoli",))).category == category


def test_own_terms_are_refused_in_disguise_too() -> None:
    rules = ModerationRules(blocked=("broccoli", "acme corp*"))
    texts = ("broccoli", "br0ccoli", "b r o c c o l i", "BROCCOLI", "an acme corporation logo", "bro-ccoli")
    for text in texts:
        assert judge([text], rules=rules).category == OWN
    assert judge(["acme"], rules=rules).category == ""


@pytest.mark.parametrize("term", ["", " ", "*", "***", "---", "\u200b", "🦊"])
def test_a_term_that_says_nothing_matches_nothing(term: str) -> None:
    rules = ModerationRules(blocked=(term,), allowed=(term,))
    assert judge(["a red fox 🦊 --- * "], rules=rules).category == ""
    assert judge(["a nude woman"], rules=rules).category == "sexual"


def test_what_is_allowed_excuses_its_own_words_alone() -> None:
    rules = ModerationRules(allowed=("nude beach",))
    assert judge(["a sign of a nude beach"], rules=rules).category == ""
    assert judge(["a nude beach, a nude man"], rules=rules).category == "sexual"


def test_people_in_sexual_content_are_refused_everywhere() -> None:
    rules = ModerationRules(strictness="relaxed", adult=True)
    assert judge(["taylor swift naked"], rules=rules).category == LIKENESS
    assert judge(["taylor swift singing"], rules=rules).category == ""


@settings(max_examples=50)
@given(st.sampled_from([line for half in measure.HALVES for line in measure.good(half)]))
def test_a_verdict_is_the_same_every_time(line: tuple[str, str]) -> None:
    assert judge([line[0]], [line[1]]) == judge([line[0]], [line[1]])


def test_notices_name_the_category_and_no_term() -> None:
    for category in ("sexual", "violence", "hate", "self_harm", "people", OWN, MINORS, LIKENESS):
        assert NOTICES[category].endswith(".") and "!" not in NOTICES[category]


# ---- the lists


def test_every_expression_that_excuses_holds_a_term() -> None:
    found = terms.known()
    for group in terms.groups("allowed").values():
        for words in group.words:
            spellings = (plain(words.replace("*", ending)) for ending in ("", "s"))
            hits = [hit.group for spelling in spellings for hit in found.hits(terms.words_of(spelling))]
            assert any((each.category, each.name) not in _SILENT for each in hits), words


_SILENT = {("minors", "grown"), ("minors", "clothes")}


@pytest.mark.parametrize("category", [*terms.CATEGORIES, "minors", "allowed"])
def test_lists_are_tidy(category: str) -> None:
    for group in terms.groups(category).values():
        assert group.level in (*STRICTNESS, "never")
        assert len(set(group.words)) == len(group.words), f"{category}.{group.name} names a word twice"
        for words in group.words:
            assert words == words.strip().casefold() and plain(words)


def test_the_same_words_in_several_forms_are_no_other_word() -> None:
    assert judge(("x", "x", "x")).category == ""
