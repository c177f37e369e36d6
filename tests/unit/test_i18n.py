"""What Easel says in other languages: messages, their catalogues, and that no sentence is missing."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

from bot import commands
from bot.adapters.web import views
from bot.errors import Offer, Refusal
from bot.i18n import Text, _, catalogs, either, join, listing, ngettext, speech
from bot.messages import answers, job_cards
from bot.messages.types import Card, Form
from bot.models import INSTANCE, Balance, Job, Member, Policy, Review, State, StoredPicture
from bot.prompts import styles
from engine.text import gaps, loaded, stored
from engine.types import Lane, Progress, QueuePosition
from tests import messages
from tests.examples import a_job, a_tier

ROOT = Path(__file__).parents[2]
WEB = ROOT / "bot" / "adapters" / "web"

# ---- the catalogues


@pytest.mark.parametrize("language", messages.FOREIGN)
def test_a_catalogue_is_whole_and_has_the_same_arguments(language: str) -> None:
    assert catalogs.faults(language) == []


def extracted() -> set[str]:
    """The ids of all messages, as `pybabel extract` finds them."""
    read = ConfigParser()
    read.read(ROOT / "babel.cfg")
    methods = [tuple(reversed(each.split(":", 1))) for each in read.sections() if ":" in each]
    named = dict(read["extractors"])
    methods = [(pattern.strip(), named.get(how.strip(), how.strip())) for pattern, how in methods]
    options = {pattern.strip(): dict(read[f"{how}:{pattern}"]) for pattern, how in _sections(read)}
    found: set[str] = set()
    for folder in ("bot", "engine"):
        for _file, _line, ids, *_more in extract_from_dir(
            ROOT / folder, methods, options, keywords={"_": None, "ngettext": (1, 2)}
        ):
            found |= {ids} if isinstance(ids, str) else set(ids)
    return found


def _sections(read: ConfigParser) -> Iterator[tuple[str, str]]:
    for each in read.sections():
        if ":" in each:
            how, pattern = each.split(":", 1)
            yield pattern, how


@pytest.fixture(scope="module")
def ids() -> set[str]:
    return extracted()


@pytest.mark.parametrize("language", messages.FOREIGN)
def test_a_catalogue_has_every_message_and_no_other(language: str, ids: set[str]) -> None:
    """`make messages` adds and removes them."""
    known = {each for message in catalogs.read(language) if message.id for each in _forms(message.id)}
    assert sorted(ids - known) == [], "without a translation"
    assert sorted(known - ids) == [], "said no more"


def _forms(id: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (id,) if isinstance(id, str) else tuple(id)


def test_a_wrong_placeholder_and_what_is_not_translated_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "xx" / "LC_MESSAGES" / "easel.po"
    file.parent.mkdir(parents=True)
    file.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "Use {model}"\nmsgstr "Nimm {modell}"\n\n'
        'msgid "Save"\nmsgstr ""\n\n'
        '#, fuzzy\nmsgid "Share"\nmsgstr "Teilen"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(catalogs, "FOLDER", tmp_path)
    monkeypatch.setattr(catalogs, "read", catalogs.read.__wrapped__)

    found = catalogs.faults("xx")
    assert len(found) == 3
    assert "line 4" in found[0] and "“Use {model}”" in found[0] and "{model}, {modell}" in found[0]
    assert "“Save” is not translated" in found[1] and "“Share” is not translated" in found[2]


def test_languages_are_named_by_themselves() -> None:
    assert next(iter(catalogs.LANGUAGES)) == "en"
    assert catalogs.LANGUAGES["de"] == "Deutsch" and catalogs.LANGUAGES["fr"] == "français"


# ---- no sentence without an id

FOR_NOBODY = re.compile(
    r"""admin(?:\ \w+){1,2} | (?:privacy|contest|api|reference)\ \w+
      | .*\(\?(?:P<|:).* | (?:\w+\ ){9,}\w+   # commands, patterns, lists of words
      | no\ answer\ within\ .* | the\ process\ ended | the\ next\ request\ may\ come\ .*   # causes, logged
      | \0\ of\ \0’s\ job | allowances\ unused | \0\ UTC | \ in\ \0 | on\ hold   # lines of the audit, states
      | set\ by\ administrators | logged\ in | last\ used   # keys of exported data
      | <!date.* | a\ picture | Cc | Cf | Cs | Discord | Slack | Easel | Cancelled\.""",
    re.VERBOSE | re.DOTALL,
)
"""Texts of the modules below that are not shown to people in their language."""

WORDS_OF_PROMPTS = ("_KINDS",)
"""What people say, which is never translated."""

SPEAKING = (
    *(f"bot/accounts/{name}.py" for name in ("api_keys", "logins", "access_rules", "privacy", "service")),
    *(
        f"bot/admin/{name}.py"
        for name in ("asked", "dashboard", "people", "places", "queue", "records", "tiers")
    ),
    *(f"bot/adapters/{name}.py" for name in ("interactions", "typed")),
    "bot/adapters/api/bodies.py",
    *(
        f"bot/adapters/discord/{name}.py"
        for name in ("client", "handlers", "forms", "layout", "slash_commands")
    ),
    *(
        f"bot/adapters/slack/{name}.py"
        for name in ("client", "handlers", "forms", "home", "layout", "users", "slash_commands")
    ),
    *(f"bot/adapters/web/{name}.py" for name in ("queue_view", "verifier", "login_pages")),
    *(f"bot/commands/{name}.py" for name in ("admin", "complete", "spec", "user")),
    *(
        f"bot/jobs/{name}.py"
        for name in ("admission", "favourites", "offers", "planning", "queries", "remake", "service")
    ),
    *(f"bot/messages/{name}.py" for name in ("answers", "contests", "job_cards")),
    *(f"bot/moderation/{name}.py" for name in ("images", "reviews", "text")),
    *(
        f"bot/prompts/{name}.py"
        for name in ("composing", "defaults", "draft", "param", "parsing", "readers", "rendering")
    ),
    *(f"bot/{name}.py" for name in ("actions", "formats", "gate", "models", "options", "router")),
    "bot/contests/service.py",
    "bot/images/pictures.py",
    "bot/jobs/visibility.py",
    "bot/provenance/verdict.py",
    "bot/store/identities.py",
    "engine/errors.py",
)
"""Modules in which sentences stand that people get to read."""

UNSAID = ("code", "kind", "flags", "completes", "icon", "name", "id", "style", "example", "examples", "cause")
"""Arguments that nobody gets to read."""
LOGGING = ("log", "telemetry", "re", "structlog", "logging")


class Sentences(ast.NodeVisitor):
    """Every text of a module that looks like something to say and has no id; "\\0" stands for what varies."""

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
        letters = re.search(r"[A-Za-z]{2}", text.replace("\0", ""))
        if letters and (" " in text or re.match(r"[A-Z][a-z]", text)) and not FOR_NOBODY.fullmatch(text):
            self.found.add(text)

    # ---- what is not said, or is a message

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        if _first_name(node.func) in LOGGING:
            return
        marked = isinstance(node.func, ast.Name) and node.func.id in ("_", "ngettext")
        self.visit(node.func)
        for each in node.args:
            if not (marked and isinstance(each, ast.Constant)):
                self.visit(each)
        for keyword in node.keywords:
            if keyword.arg not in UNSAID:
                self.visit(keyword.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        if isinstance(node.exc, ast.Call) and _first_name(node.exc.func) in ("ValueError", "KeyError"):
            return
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if ast.unparse(node.targets[0]) not in WORDS_OF_PROMPTS:
            self.visit(node.value)

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


@pytest.mark.parametrize("path", SPEAKING)
def test_no_sentence_is_without_an_id(path: str) -> None:
    sentences = Sentences()
    sentences.visit(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert sorted(sentences.found) == []


def test_no_refusal_makes_plain_text_of_an_error() -> None:
    """`str(error)` loses the message: `error.args[0]` or its notice keeps it."""
    found = [
        path for path in (ROOT / "bot").rglob("*.py") if "Refusal(str(" in path.read_text(encoding="utf-8")
    ]
    assert found == []


TOKENS = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|<[^<>{}]*(?:\{[{%].*?[%}]\}[^<>{}]*)*>)", re.DOTALL)
SPOKEN = re.compile(r'(?:aria-label|title|placeholder|alt)="([^"{}]*[A-Za-z]{2}[^"{}]*)"')
BARE = re.compile(r"Easel|· Easel|everyone|lang=\"")
"""What stands in templates as it is: the product's name, and what is typed as it stands."""


@pytest.mark.parametrize("path", sorted((WEB / "templates").glob("*.html")), ids=lambda path: path.name)
def test_no_template_says_anything_without_an_id(path: Path) -> None:
    parts = TOKENS.split(path.read_text(encoding="utf-8"))
    bare = [part.strip() for part in parts[::2] if re.search(r"[A-Za-z]{2}", part)]
    bare += [said for part in parts[1::2] if part.startswith("<") for said in SPOKEN.findall(part)]
    assert [each for each in bare if not BARE.fullmatch(each)] == []


def test_what_scripts_say_is_handed_to_them() -> None:
    said: set[str] = set()
    for script in ("easel.js", "admin.js", "brush.js"):
        code = (WEB / "static" / script).read_text(encoding="utf-8")
        said |= set(re.findall(r'\bsay\("([^"]+)"', code))
    assert said == set(views.SCRIPT)


@pytest.mark.parametrize("language", messages.FOREIGN)
def test_styles_and_help_are_translated(language: str) -> None:
    for style in styles.load().styles.values():
        assert list(messages.untranslated(style.help, language)) == []
    for card in [answers.help(each) for each in commands.COMMANDS] + [answers.help(admin=True)]:
        assert [each for text in card.body for each in messages.untranslated(text, language)] == []


# ---- nobody's words are rewritten

ADA = Member(tenant="here", id="ada", name="Ada")


def cards(prompt: str) -> dict[str, Card]:
    """Every kind of card that shows a prompt."""
    pictures = tuple(
        StoredPicture(index=index, blob=f"{index}", seed=7, width=8, height=8) for index in range(-1, 2)
    )
    job = replace(a_job(prompt=prompt), style="photo")
    done = replace(job, state=State.RENDERED, pictures=pictures)
    review = Review(job=job.id, tenant="here", at=job.created, reports=2)
    balance = Balance(cap=600, used=4, resets=job.created, per="day")
    lane = Lane(tenant="here", user="ada", waiting=(job.id,), running=(), virtual_time=0, weight=1, served=0)
    return {
        "waiting": job_cards.waiting(job, QueuePosition(number=3, wait=40.0)),
        "painting": job_cards.painting(
            job, Progress(job=job.id, step=1, steps=2, device_seconds=1, preview=b"p"), 8.0
        ),
        "done": job_cards.done(done),
        "picked": job_cards.picked(done, 0),
        "more": job_cards.more(done),
        "failed": job_cards.failed(
            replace(job, reason=_("The engine ran out of memory on this size. Try a smaller one."))
        ),
        "cancelled": job_cards.cancelled(job),
        "info": answers.info(done, [done], text=prompt),
        "history": answers.history([done]),
        "searched": answers.history([], search=prompt),
        "review": answers.review(done, review, 1),
        "reports": answers.reports([(done, review)]),
        "quota": answers.quota(a_tier(600), [balance], [done], job.created, 1.0),
        "queue": answers.queue([lane], {job.id: _asked_by(job, prompt)}, ADA, "somebody"),
    }


def _asked_by(job: Job, name: str) -> Job:
    return replace(
        job, origin=replace(job.origin, member=replace(job.origin.member, name=name, tenant="here"))
    )


def test_no_prompt_is_rewritten_whatever_it_says(ids: set[str]) -> None:
    """Each message as a prompt: in every card, the prompt stands as often as in English."""
    prompts = sorted(each.strip() for each in ids if not gaps(each) and len(each) > 3)
    for number, prompt in enumerate(prompts):
        language = messages.FOREIGN[number % len(messages.FOREIGN)]
        for kind, card in cards(prompt).items():
            shown = [each for each in messages.texts(card) if _held(prompt, each)]
            said = speech.translated(card, language)
            kept = [each for each in messages.texts(said) if prompt[:30] in each]
            assert len(kept) >= len(shown) > 0, (kind, prompt)
            assert isinstance(card.title, Text) or said.title == card.title == prompt


def _held(prompt: str, text: str) -> bool:
    """Whether a text is the prompt, or a message that holds it as what somebody said."""
    if not isinstance(text, Text):
        return prompt[:30] in text
    return any(
        _held(prompt, str(each) if not isinstance(each, Text) else each)
        for each in (*text.parts, *text.values.values())
    )


@pytest.mark.parametrize("language", messages.FOREIGN)
@pytest.mark.parametrize("kind", cards("a fox").keys())
def test_every_card_is_in_its_language(kind: str, language: str) -> None:
    card = cards("a fox")[kind]
    assert [each for text in messages.texts(card) for each in messages.untranslated(text, language)] == []
    assert speech.translated(card, language).language == language


# ---- messages


def test_a_message_is_english_as_text_and_its_language_s_when_translated() -> None:
    text = ngettext("about {count} image left", "about {count} images left", 3)

    assert text == "about 3 images left"
    assert (
        speech.say(text, "de") == "noch etwa 3 Bilder"
        and speech.say(text, "fr") == "environ 3 images restantes"
    )
    one = ngettext("about {count} image left", "about {count} images left", 1)
    assert (one, speech.say(one, "de")) == ("about 1 image left", "noch etwa 1 Bild")
    none = ngettext("about {count} image left", "about {count} images left", 0)
    assert speech.say(none, "fr") == "environ 0 image restante"


def test_arguments_that_are_messages_are_translated_and_others_are_not() -> None:
    text = _("{who} is blocked {end}.", who="Cancel", end=_("until /admin person unblock"))
    assert speech.say(text, "de") == "Cancel ist gesperrt bis /admin person unblock."


def test_an_argument_with_braces_stays_as_it_is() -> None:
    text = _("Use {model}", model="{model} {0} %s")
    assert text == "Use {model} {0} %s" and speech.say(text, "de") == "Nimm {model} {0} %s"


def test_texts_in_a_row_are_translated_one_by_one() -> None:
    text = join(" ", (_("Nothing was charged."), "", "Cancel", _("It takes none.")))
    assert text == "Nothing was charged. Cancel It takes none."
    assert speech.say(text, "de") == "Es wurde nichts berechnet. Cancel Es gibt keine."
    assert speech.say("Cancel: " + _("Cancel") + "!", "de") == "Cancel: Abbrechen!"
    assert speech.say(listing(["a", "b", "c"]), "de") == "a, b und c" and listing(["a"]) == "a"
    assert speech.say(either(["a", "b", "c"]), "fr") == "a, b ou c"


def test_arguments_may_be_filled_in_later() -> None:
    assert speech.say(_("Upscale image {n}").format(n=2), "de") == "Bild 2 vergrößern"


MESSAGES = (
    _("Nothing was charged."),
    _("Use {model}", model="a {model}"),
    ngettext("{count} job", "{count} jobs", 2),
    join(" ", ("a fox.", _("Use {model}", model=_("random")))),
)


@pytest.mark.parametrize("text", MESSAGES)
def test_a_message_stays_one_in_the_database_and_between_processes(text: str) -> None:
    for again in (loaded(stored(text)), pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert again == text and speech.say(again, "de") == speech.say(text, "de") != text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a fox",
        "\x1f",
        "a fox\x1f{",
        'a fox\x1f{"message": 7}',
        "a\x1f[1]",
        'a\x1f{"parts": 3}',
        "a\x1fnull",
    ],
)
def test_what_is_no_stored_message_is_read_as_text(text: str) -> None:
    assert isinstance(loaded(text), str)
    assert loaded(stored("plain")) == "plain" and not isinstance(loaded("plain"), Text)


# ---- in which language


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("en_US", "en"),
        ("DE", "de"),
        ("fr", "fr"),
        ("xx", ""),
        ("", ""),
        ("*", ""),
    ],
)
def test_a_tag_names_the_nearest_language(tag: str, language: str) -> None:
    assert speech.nearest(tag) == language


def test_a_place_s_language_comes_before_the_person_s() -> None:
    chosen = speech.Speech()
    origin = replace(a_job().origin, language="de")
    assert chosen.of(origin) == "de"

    chosen.place(origin.member.tenant, Policy(language="en"))
    assert chosen.of(origin) == "en"

    chosen.place(origin.member.tenant, Policy())
    chosen.place(INSTANCE, Policy(language="de"))
    assert chosen.of(replace(origin, language="")) == "de"


# ---- what is said


def test_a_card_is_translated_but_for_its_prompt() -> None:
    job = replace(a_job(prompt="Cancel"), style="photo")
    said = speech.translated(job_cards.waiting(job, QueuePosition(number=3, wait=40.0)), "de")

    assert said.title == "Cancel" and said.language == "de"
    assert said.facts[:2] == ("für @ada", "3. in der Warteschlange, etwa 40 s")
    assert [button.label for button in said.rows[0]] == ["Abbrechen"]


def test_alternative_texts_keep_the_prompt() -> None:
    pictures = tuple(StoredPicture(index=index, blob="b", seed=7, width=8, height=8) for index in (-1, 0, 1))
    job = replace(a_job(prompt="Styles"), state=State.RENDERED, pictures=pictures)
    said = speech.translated(job_cards.done(job), "de")

    assert [picture.alt for picture in said.pictures] == ["Styles", "Styles, Bild 1", "Styles, Bild 2"]


def test_a_reported_prompt_is_no_heading() -> None:
    picture = StoredPicture(index=0, blob="b", seed=7, width=8, height=8)
    job = replace(a_job(prompt="Styles"), state=State.RENDERED, pictures=(picture,))
    review = Review(job=job.id, tenant="web:local", at=job.created, reports=2)

    said = speech.translated(answers.review(job, review, 1), "de")
    assert said.title == "Styles" and said.facts == ("1 Auftrag zu entscheiden", "gemeldet von 2 Personen")


def test_a_refusal_keeps_what_it_offers() -> None:
    offer = Offer(ngettext("Make {count} image", "Make {count} images", 4), "a fox --count 4")
    notice = _("The prompt is empty. Describe an image, for example “a red fox in snow”.")
    said = speech.translated(Refusal(notice, code="c", offers=(offer,)), "de")

    assert said.notice == "Der Prompt ist leer. Beschreib ein Bild, zum Beispiel „a red fox in snow“."
    assert said.offers == (Offer("4 Bilder erzeugen", "a fox --count 4"),) and said.code == "c"


def test_a_form_is_asked_in_its_language() -> None:
    form = Form(command="imagine", title=_("Use as reference"), values={"prompt": _("Use as reference")})
    said = speech.translated(form, "de")

    assert (said.title, said.language) == ("Als Vorlage nehmen", "de")
    assert said.values == form.values


def test_english_is_what_is_written() -> None:
    shown = answers.help()

    assert speech.translated(shown, "en") is shown
