"""Changes to what judges words that a test must notice: path, text, what stands instead, who notices."""

from __future__ import annotations

TEXT = "bot/moderation/text.py"
TERMS = "bot/moderation/terms.py"
READING = "bot/moderation/normalize.py"
PICTURES = "bot/moderation/images.py"
WORDS = "tests/unit/test_moderation_text.py"
LOOKS = "tests/unit/test_moderation_images.py"
RATED = f"{LOOKS}::test_only_restricted_channels_show_it_and_never_with_minors"
SOONER = f"{LOOKS}::test_the_stricter_the_sooner"
TOLD = "tests/scenario/test_moderation.py"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # ---- what a strictness makes of it
    (TEXT, ' and rules.strictness != "strict"', "", WORDS),
    (TEXT, "group.adult and rules.adult", "rules.adult", WORDS),
    (TEXT, "group.adult and rules.adult", "group.adult", WORDS),
    (TEXT, 'group.level == "never" or', "", WORDS),
    (TEXT, ">= STRICTNESS.index(group.level)", "> STRICTNESS.index(group.level)", WORDS),
    (
        TEXT,
        "if group.category == OWN:\n        return True",
        "if group.category == OWN:\n        return False",
        WORDS,
    ),
    # ---- which category is told
    (TEXT, "(not group.certain, group.category)", "(group.category, not group.certain)", WORDS),
    (TEXT, "(not group.certain, group.category)", "(group.certain, group.category)", WORDS),
    (TEXT, "(not group.certain, group.category)", "not group.certain", WORDS),
    (TEXT, "certain=bool(worst and worst.certain)", "certain=False", WORDS),
    # ---- real people
    (TEXT, "category=LIKENESS, certain=True", "category=LIKENESS, certain=False", WORDS),
    (TEXT, "if asked.sexual and any(", "if any(", WORDS),
    (TEXT, '"people" for group in asked.groups)', '"people" for group in asked.all)', WORDS),
    # ---- minors
    (
        TEXT,
        "if hard := _hard(asked, avoided):",
        "if (hard := _hard(asked, avoided)) and not rules.adult:",
        WORDS,
    ),
    (TEXT, "certain=certain and asked.sexual, minors=True", "certain=certain, minors=True", WORDS),
    (TEXT, "certain=certain and asked.sexual, minors=True", "certain=asked.sexual, minors=True", WORDS),
    (TEXT, 'certain or asked.has("minors", "likely")', "certain", WORDS),
    (TEXT, "(asked.sexual or indirectly)", "asked.sexual", WORDS),
    (TEXT, 'avoided.has("minors", "clothes") or ', "", WORDS),
    (TEXT, ' or avoided.has("sexual", "explicit")', "", WORDS),
    (TEXT, 'if asked.sexual and avoided.has("minors", "grown"):', "if False:", WORDS),
    (TEXT, 'minors = asked.age or asked.has("minors", "certain", "likely")', "minors = asked.age", WORDS),
    (TEXT, "certain = asked.age or asked.has", "certain = asked.has", WORDS),
    (TEXT, "for group in self.all)\n\n    @property", "for group in self.groups)\n\n    @property", WORDS),
    # ---- what is kept out
    (TEXT, "if not group.wished_away}", "if group.wished_away}", WORDS),
    (
        TEXT,
        "asked.groups | {group for group in avoided.groups if not group.wished_away}",
        "asked.groups",
        WORDS,
    ),
    # ---- excuses and own terms
    (
        TEXT,
        "for words in (rules.blocked, rules.allowed)",
        "for words in (rules.allowed, rules.blocked)",
        WORDS,
    ),
    (TEXT, "*own.hits(words)]):", "]):", WORDS),
    (TEXT, "*terms.excused().hits(words), *allowed.hits(words)", "*terms.excused().hits(words)", WORDS),
    (TEXT, "*terms.excused().hits(words), *allowed.hits(words)", "*allowed.hits(words)", WORDS),
    (TEXT, "if hit.end > things[hit.start]}", "if hit.end > excused[hit.start]}", WORDS),
    (TEXT, "if hit.end > excused[hit.start]}", "if hit.end >= excused[hit.start]}", WORDS),
    (TEXT, "itertools.accumulate(ends, max)", "ends", WORDS),
    (TEXT, "own.unstarred(read[0])) if", "read[0]) if", WORDS),
    (TEXT, "(terms.known().unstarred(read[0]), ", "(", WORDS),
    (TEXT, ' or "#" in text', "", WORDS),
    (TEXT, "filter(_readable, words)", "words", WORDS),
    # ---- how terms are found
    (TERMS, "if phrase.goes_on(words, at):", "if True:", WORDS),
    (TERMS, "len(there) == len(rest) and ", "", WORDS),
    (TERMS, 'if term.endswith("*") else word == core', "if True else word == core", WORDS),
    (TERMS, 'seen in ("*", "#", real)', 'seen in ("*", real)', WORDS),
    (TERMS, "whole or self._stems_like(word) or", "whole or", WORDS),
    # ---- disguises
    (READING, "[plain(text), *map(plain, _reversed(text))]", "[plain(text)]", WORDS),
    (READING, "(_join_pairs, _join, ", "(_join, ", WORDS),
    (READING, "(_join_pairs, _join, ", "(_join_pairs, ", WORDS),
    (READING, '_leet("i"), ', "", WORDS),
    (READING, '_leet("l"), ', "", WORDS),
    (READING, "_shorten(2), _shorten(1)", "_shorten(2)", WORDS),
    (READING, "_shorten(2), _shorten(1)", "_shorten(1)", WORDS),
    (READING, "text = _ALL_DOUBLED.sub(lambda word: _RUN.sub(shorter, word[0]), text)", "pass", WORDS),
    # ---- pictures
    (PICTURES, '_LIMITS["strict" if minors else rules.strictness]', "_LIMITS[rules.strictness]", RATED),
    (PICTURES, ' and rules.strictness != "strict" and not minors', " and not minors", RATED),
    (
        PICTURES,
        ' and rules.strictness != "strict" and not minors',
        ' and rules.strictness != "strict"',
        RATED,
    ),
    (PICTURES, "seen.explicit >= limits.explicit or ", "", SOONER),
    (PICTURES, " or seen.explicit + seen.suggestive >= limits.either", "", SOONER),
    (PICTURES, "shown=allowed or not adult", "shown=not adult", RATED),
    (
        PICTURES,
        "raise NotSeen(str(error)) from error",
        "return Scores()",
        f"{LOOKS}::test_a_late_answer_is_no_answer_and_never_that_of_the_next",
    ),
    (
        "bot/jobs/tracker.py",
        "minors=verdict.minors",
        "minors=False",
        f"{TOLD}::test_where_minors_are_mentioned_nothing_sexual_is_shown_anywhere",
    ),
    (
        "bot/jobs/tracker.py",
        "if seen.harmless:",
        "if True:",
        f"{TOLD}::test_a_picture_that_may_not_be_shown_ends_the_job_uncharged",
    ),
    (
        "bot/jobs/tracker.py",
        "if not rating.shown:",
        "if False:",
        f"{TOLD}::test_a_picture_that_may_not_be_shown_ends_the_job_uncharged",
    ),
    (
        "bot/jobs/tracker.py",
        "if life.progress and not adult:",
        "if life.progress:",
        f"{TOLD}::test_previews_of_what_is_for_adults_are_not_shown",
    ),
]
