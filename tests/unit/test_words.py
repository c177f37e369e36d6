"""What Easel says in another language: how a catalogue is read, and that no sentence is missing from it."""

from __future__ import annotations

import ast
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot import commands, words
from bot.errors import Offer, Refusal
from bot.messages import answers, job_cards
from bot.messages.types import Form
from bot.models import INSTANCE, Policy, Review, State, StoredPicture
from bot.prompts import styles
from engine.types import Place
from tests.examples import a_job

ROOT = Path(__file__).parents[2]
SPEAKING = (
    "bot/accounts/logins.py",
    "bot/accounts/access_rules.py",
    "bot/accounts/privacy.py",
    "bot/accounts/service.py",
    "bot/actions.py",
    "bot/adapters/discord/client.py",
    "bot/adapters/discord/handlers.py",
    "bot/adapters/discord/forms.py",
    "bot/adapters/discord/layout.py",
    "bot/adapters/discord/slash_commands.py",
    "bot/adapters/interactions.py",
    "bot/adapters/slack/client.py",
    "bot/adapters/slack/handlers.py",
    "bot/adapters/slack/forms.py",
    "bot/adapters/slack/home.py",
    "bot/adapters/slack/layout.py",
    "bot/adapters/slack/users.py",
    "bot/adapters/slack/slash_commands.py",
    "bot/adapters/typed.py",
    "bot/admin/asked.py",
    "bot/admin/dashboard.py",
    "bot/admin/people.py",
    "bot/admin/places.py",
    "bot/admin/queue.py",
    "bot/admin/records.py",
    "bot/admin/tiers.py",
    "bot/messages/answers.py",
    "bot/commands.py",
    "bot/gate.py",
    "bot/jobs/admission.py",
    "bot/jobs/offers.py",
    "bot/jobs/planning.py",
    "bot/jobs/queries.py",
    "bot/jobs/remake.py",
    "bot/jobs/service.py",
    "bot/jobs/visibility.py",
    "bot/models.py",
    "bot/moderation/images.py",
    "bot/moderation/reviews.py",
    "bot/moderation/text.py",
    "bot/options.py",
    "bot/images/pictures.py",
    *(
        f"bot/prompts/{name}.py"
        for name in ("composing", "defaults", "draft", "parsing", "readers", "rendering")
    ),
    "bot/router.py",
    "bot/store/identities.py",
    "bot/commands/vocabulary.py",
    "engine/errors.py",
)
"""Modules in which sentences stand that people get to read."""


FOR_NOBODY = re.compile(
    r"""admin\ \w+ | privacy\ \w+                # names of commands
      | .*\(\?(?:P<|:).* | (?:\w+\ ){9,}\w+      # patterns, and lists of words
      | no\ answer\ within\ .* | the\ process\ ended | the\ next\ request\ may\ come\ .*   # causes, logged
      | \0\ of\ \0’s\ job | allowances\ unused   # lines of the audit
      | set\ by\ administrators | logged\ in | last\ used     # keys of exported data
      | Cancelled\.                              # an error that is no failure""",
    re.VERBOSE | re.DOTALL,
)
"""Texts of those modules that are not said."""

WOVEN = {
    "\0: \0\0, lost \0 times since the start.": (
        "cpu: 2 jobs inside, tiny loaded, lost 0 times since the start."
    ),
    "Allowed: all \0": "Allowed: all models",
    "\0 has \0 more, to use whenever the allowance does not suffice.": (
        "Bo has 4 s more, to use whenever the allowance does not suffice."
    ),
    "\0 is blocked \0. \0": "Bo is blocked until /admin unblock. They had nothing waiting or running.",
    "\0 of their jobs \0 cancelled; nothing was charged.": (
        "2 of their jobs were cancelled; nothing was charged."
    ),
    "Blocked \0 \0. \0": "Blocked here until 14:30 UTC.",
    "Easel answers here in \0.": "Easel answers here in the language of each person.",
    "Then no \0 would be left. Allow another one first.": (
        "Then no styles would be left. Allow another one first."
    ),
    " That \0.": "That resets at 14:30 UTC, in 3 h.",
    "This costs about \0 s; \0 \0 s left of \0, so \0 s are missing.": (
        "This costs about 8 s; you have 1,000 s left of your 3,600 s a day, so 7 s are missing."
    ),
    "\0 of \0 \0 s": "costs about 4 of this place’s 600 s",
    "\0 of \0 s used\0": "0.4 of 600 s used this month",
    " this \0": "4 of 600 s used this hour",
    "\0, \0 of the device": "3 jobs, 1 min 4 s of the device",
    "\0, picture \0": ", picture 2",
    "\0 can be\0; you asked for \0.": "Count can be 1 to 16; you asked for 99.",
    "\0 takes a mention or an id\0; “\0” is neither.": (
        "Person takes a mention or an id, for example discord:1; “?” is neither."
    ),
    "\0 takes a number\0; “\0” is not one.": "Guidance takes a number from 0 to 30; “x” is not one.",
    "\0 takes a whole number\0; “\0” is not one.": ("Seed takes a whole number from 0 to 9; “x” is not one."),
    "There \0 \0.": "There are --no, --ar.",
    "\0 needs a value, \0.": "--ar needs a value, for example --ar 16:9.",
    "for example \0 \0": "--style needs a value, for example --style ….",
    "\0 paints sides \0; you asked for \0. Try --size \0x\0.": (
        "tiny paints sides from 64 to 512 pixels, in steps of 8; you asked for 7 × 9. Try --size 64x64."
    ),
    "option of /imagine called": "There is no option of /imagine called foo. Did you mean flow?",
    "option of \0 called": "There is no option of queue called foo.",
    "“\0” is too much for \0 \0. \0 help \0 tells.": (
        "“x” is too much for /easel queue. /easel help queue tells."
    ),
    "It could not be shown there: \0 Invite Easel to that channel, then share again.": (
        "It could not be shown there: Easel was removed from this workspace. "
        "Invite Easel to that channel, then share again."
    ),
    "An administrator removed your pictures of job \0 after a report. \0 Ask once more to go on.": (
        "An administrator removed your pictures of job a1 after a report. Ask once more to go on."
    ),
    "job \0 \0": "job a1 removed; its owner was given a strike",
    "Only the person who asked for these pictures can \0 them.": (
        "Only the person who asked for these pictures can share them."
    ),
    "Only \0 or an administrator can \0 that.": "Only Bo or an administrator can cancel that.",
}
"""What is woven of pieces that are words themselves → an example of the whole."""

UNSAID = ("code", "kind", "flags", "completes", "icon", "name", "id", "style", "example", "examples")
"""Arguments that nobody gets to read."""
LOGGING = ("log", "telemetry", "re", "structlog", "logging")


class Sentences(ast.NodeVisitor):
    """Every text of a module that looks like something to say; "\\0" stands for what varies."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._add(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)
        self._add("".join(each.value if isinstance(each, ast.Constant) else "\0" for each in node.values))  # type: ignore[misc]

    def _add(self, text: str) -> None:
        text = text.replace("{n}", "\0")  # of a text that is filled in elsewhere
        letters = re.search(r"[A-Za-z]{2}", text.replace("\0", ""))
        if letters and (" " in text or re.match(r"[A-Z][a-z]", text)):
            self.found.add(text)

    # ---- what is not said

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        if _first_name(node.func) in LOGGING:
            return
        self.visit(node.func)
        for each in node.args:
            self.visit(each)
        for keyword in node.keywords:
            if keyword.arg not in UNSAID:
                self.visit(keyword.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        if isinstance(node.exc, ast.Call) and _first_name(node.exc.func) in ("ValueError", "KeyError"):
            return
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None: ...

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None: ...

    def visit_MatchValue(self, node: ast.MatchValue) -> None: ...

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for each in (*node.args.defaults, *node.body):
            self.visit(each)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]


def _first_name(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""


def sentences(path: Path) -> set[str]:
    collector = Sentences()
    collector.visit(ast.parse(path.read_text(encoding="utf-8")))
    return collector.found


def lacking(text: str, language: str) -> bool:
    """Whether a text, or a part of one, is not in a catalogue.

    What varies may be a number, words, or nothing. A part is found inside the sentences that hold it.
    """
    book = words.catalogue(language)
    for filling in ("7", "Xy", ""):
        filled = " ".join(text.replace("\0", filling).split())
        if not [each for each in book.missing(filled) if re.search(r"[a-z]{2}", each.replace("Xy", ""))]:
            return False
    holes = re.compile(r"\{\w+!?\}")
    part = text.strip()
    return not any(part in holes.sub("\0", entry) for entry in words.entries(language))


SAID = {path: sentences(ROOT / path) for path in SPEAKING}
FOREIGN = sorted(words.LANGUAGES.keys() - {"en"})


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("path", SPEAKING)
def test_no_sentence_is_without_a_translation(path: str, language: str) -> None:
    said = [text for text in SAID[path] - WOVEN.keys() if not FOR_NOBODY.fullmatch(text)]

    assert sorted(text for text in said if lacking(text, language)) == []


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("example", WOVEN.values())
def test_what_is_woven_of_words_is_translated_as_a_whole(example: str, language: str) -> None:
    assert words.catalogue(language).missing(example) == []


def test_every_example_is_of_something_that_is_said() -> None:
    assert WOVEN.keys() - set().union(*SAID.values()) == set()


@pytest.mark.parametrize("language", FOREIGN)
def test_what_styles_look_like_is_translated(language: str) -> None:
    for style in styles.load().styles.values():
        assert words.catalogue(language).missing(f"{style.name}: {style.help}") == []


@pytest.mark.parametrize("language", FOREIGN)
def test_help_is_translated(language: str) -> None:
    shown = [answers.help(each) for each in commands.COMMANDS] + [answers.help(admin=True)]
    lines = [line for each in shown for line in (*each.facts, *each.body)]

    book = words.catalogue(language)
    typed = re.compile(r"Left out: .*|[\w.:]+")  # values that are typed as they stand
    assert [each for line in lines for each in book.missing(line) if not typed.fullmatch(each)] == []


@pytest.mark.parametrize("language", FOREIGN)
def test_what_is_translated_is_not_translated_again(language: str) -> None:
    book = words.catalogue(language)
    for said, translation in words.entries(language).items():
        once = book.say(filled(said))
        assert book.say(once) == once, translation


@pytest.mark.parametrize("language", FOREIGN)
def test_an_entry_names_what_varies_alike_on_both_sides(language: str) -> None:
    hole = re.compile(r"\{(\w+)!?\}")
    for said, translation in words.entries(language).items():
        names = hole.findall(said)
        assert sorted(names) == sorted(set(names)), said
        assert set(names) == set(hole.findall(translation)), said
        assert "}{" not in said, said


def filled(said: str) -> str:
    """An entry's sentence with something in its gaps."""
    return re.sub(r"\{(\w+)!?\}", lambda hole: "7" if hole[1] in "nmk" else "Xy", said)


# ---- how a catalogue is read

BOOK = words.Catalogue(
    {
        "about {n} s": "etwa {n} s",
        "next in line, {wait!}": "als Nächstes, {wait}",
        "There is no style “{name}”.": "Den Stil „{name}“ gibt es nicht.",
        "Did you mean {name}?": "Meintest du {name}?",
        "{who} may ask again.": "{who} darf wieder fragen.",
        "To paint it again: {text}": "Um es noch einmal zu malen: {text}",
        "Nobody waits.": "Niemand wartet.",
        "{name}: {help!}": "{name}: {help}",
    }
)


@pytest.mark.parametrize(
    ("said", "translated"),
    [
        ("about 40 s", "etwa 40 s"),
        ("about his legs", "about his legs"),
        ("next in line, about 5 s", "als Nächstes, etwa 5 s"),
        ("There is no style “a. b”. Did you mean c?", "Den Stil „a. b“ gibt es nicht. Meintest du c?"),
        ("They were rude. Bo may ask again.", "They were rude. Bo darf wieder fragen."),
        ("To paint it again: a fox. Nobody waits.", "Um es noch einmal zu malen: a fox. Nobody waits."),
        ("Nobody waits. Nobody knows.", "Niemand wartet. Nobody knows."),
        ("queue: Nobody waits.", "queue: Niemand wartet."),
        ("", ""),
    ],
)
def test_a_text_is_read_sentence_by_sentence(said: str, translated: str) -> None:
    assert BOOK.say(said) == translated


def test_what_is_missing_is_found_inside_of_entries_too() -> None:
    assert BOOK.missing("queue: Somebody waits. Nobody waits.") == ["Somebody waits."]
    assert BOOK.missing("about 4 s") == []


@pytest.mark.parametrize("unit", ["a. ", ": ", "“”. ", "Did you mean ", " · ", "and "])
def test_no_text_takes_long(unit: str) -> None:
    """Cheap enough for the event loop, whatever somebody typed."""
    text = (unit * 4000)[:4000]
    began = time.perf_counter()
    assert words.say(text, "de")
    assert time.perf_counter() - began < 0.5


# ---- in which language


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("de-AT", "de"), ("en_US", "en"), ("DE", "de"), ("fr", ""), ("", ""), ("*", "")],
)
def test_a_tag_names_the_nearest_language(tag: str, language: str) -> None:
    assert words.nearest(tag) == language


def test_a_place_s_language_comes_before_the_person_s() -> None:
    speech = words.Speech()
    origin = replace(a_job().origin, language="de")
    assert speech.of(origin) == "de"

    speech.place(origin.member.tenant, Policy(language="en"))
    assert speech.of(origin) == "en"

    speech.place(origin.member.tenant, Policy())
    speech.place(INSTANCE, Policy(language="de"))
    assert speech.of(replace(origin, language="")) == "de"


# ---- what is said


def test_a_card_is_translated_but_for_its_prompt() -> None:
    job = replace(a_job(prompt="Cancel"), style="photo")
    said = words.translated(job_cards.waiting(job, Place(position=3, wait=40.0)), "de")

    assert said.title == "Cancel" and said.language == "de"
    assert said.facts[:2] == ("für @ada", "3. in der Reihe, etwa 40 s")
    assert [button.label for button in said.rows[0]] == ["Abbrechen"]


def test_alternative_texts_keep_the_prompt() -> None:
    pictures = tuple(StoredPicture(index=index, blob="b", seed=7, width=8, height=8) for index in (-1, 0, 1))
    job = replace(a_job(prompt="Styles"), state=State.RENDERED, pictures=pictures)
    said = words.translated(job_cards.done(job), "de")

    assert [picture.alt for picture in said.pictures] == ["Styles", "Styles, Bild 1", "Styles, Bild 2"]


def test_a_reported_prompt_is_no_heading() -> None:
    picture = StoredPicture(index=0, blob="b", seed=7, width=8, height=8)
    job = replace(a_job(prompt="Styles"), state=State.RENDERED, pictures=(picture,))
    review = Review(job=job.id, tenant="web:local", at=job.created, reports=2)

    said = words.translated(answers.review(job, review, 1), "de")
    assert said.title == "Styles" and said.facts == ("1 Auftrag zu entscheiden", "gemeldet von 2 Personen")


def test_a_refusal_keeps_what_it_offers() -> None:
    offer = Offer("Make it 4", "a fox --count 4")
    refusal = Refusal("The prompt is empty. Say what to paint: a red fox.", code="c", offers=(offer,))
    said = words.translated(refusal, "de")

    assert said.notice == "Der Prompt ist leer. Sag, was gemalt werden soll: a red fox."
    assert said.offers == (Offer("Nimm 4", "a fox --count 4"),) and said.code == "c"


def test_a_form_is_asked_in_its_language() -> None:
    form = Form(command="imagine", title="Use as source", values={"prompt": "Use as source"})
    said = words.translated(form, "de")

    assert (said.title, said.language) == ("Als Vorlage nehmen", "de")
    assert said.values == form.values


def test_english_is_what_is_written() -> None:
    shown = answers.help()

    assert words.translated(shown, "en") is shown
