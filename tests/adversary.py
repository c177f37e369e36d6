"""What somebody types who wants Easel to stand still, and how long patterns and functions take with it.

`python -m tests.adversary patterns` (or `functions`) prints a line of JSON for each: its name, the worst text
and the seconds of CPU. The name stands on a line of its own before it is measured, so whoever has to stop
this process knows what never ended.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import functools
import importlib
import inspect
import itertools
import json
import pkgutil
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bot
from bot.prompts import foreign, merging, permutations, talk, turns
from engine import weights

LENGTH = 4000  # characters
LIMIT = 0.05  # seconds of CPU
SLOWER = {"judge": 1.0, "judge what to leave out": 1.0}
"""The limit of functions that work in a thread and in thousands of short steps: 0.2 s were seen."""
TRIES = 4  # of what took longer than that
SHORTER = 8  # times; what is quick with texts that much shorter is not tried with the long ones

_SIGNS = "aA0_*#- .|\"'“„«»‘<>\\/:;,!?\n\t\u202e\u2067\u0301\u200b—=(@$&1"
_SCRIPTS = "åжλאبกあ漢한अ😀🇳ﷺ𝓷ⓝﬃẵß"
_UNITS = """ab|aab|aabb|aabbc|abcabd|a.b.|a_|a-|a*|*a|a#b|4a|a4|$a|a1|1a|"a|a"|“a”|„a“|«a»|\\"|\\
--a|--|—no|http://|://a|@a|a b |n u d e |a  .b |aabbc |nu de |p0rn |n*d* |a-b |"a" |--a |--no a |--no "a
--ar 1:1 |--style a |— a |, wide|, wide |in 16:9 | as a | in a | style |as pixel art |in pixel art style
four pictures of |one picture of |wide format|<@U1> |<@|<#C|<!a^|<a|<a>|&lt;|&amp|a:|a="|a: "|key=
/imagine |/easel |@everyone |1 2  y e a r |12 years |aged 9 |aged of |seventeen |im alter von |1:1 |12:
123,|1.5|{a}|{n} of |. |? A|! a|child nude |cutting her |strangling |donald trump |naked mole rat
a+b|512x|x×x|q=0.|1970-01-01""".replace("\n", "|").split("|")


CACHED = type(functools.cache(lambda: None))


@functools.cache
def texts(length: int = LENGTH) -> Mapping[str, str]:
    """Texts of `length` characters by what they repeat, some with an end that spoils what went well."""
    found = {}
    for unit in filter(None, (*_SIGNS, *_SCRIPTS, *_UNITS, *(f"{each} " for each in _SCRIPTS))):
        for end in ("", "H", ' wide"'):
            found[f"{unit!r} … {end!r}"] = (unit * length)[: length - len(end)] + end
    for mark, inner in itertools.product("\u202e\u2067", ("a", "a\u202c", "a\u2069 ", "\n")):
        found[f"{mark + inner!r} …"] = ((mark + inner) * length)[:length]
    for alphabet in ("ab ", "ab\"'“” -", "nude child*#_", "0134578@$!|abc ", "åжλאبก漢 "):
        chosen = random.Random(alphabet).choices(alphabet, k=length)
        found[f"any of {alphabet!r}"] = "".join(chosen)
    nested = "“„«" * (length // 6)
    return found | {"nested quotes": nested + nested[::-1].translate(str.maketrans("“„«", "”“»"))}


# ---- every pattern

METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")

LOCAL: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("adapters/discord/client.py", "self"): (r"<@!?1234567890>",),
    ("adapters/slack/message_events.py", "workspace"): (r"<@U1(?:\|[^<>]*)?>",),
    ("adapters/typed.py", "bare names"): (
        r"(?<!\S)(?:--([\w-]+)(?:=|(?!\S))|(style|model|count):)",
        r"(?<!\S)(?:--([\w-]+)(?:=|(?!\S))|(style|model|count)(?::|(?!\S)))",
        r"(?<!\S)(?:--([\w-]+)(?:=|(?!\S))|((?!)):)",
    ),
    ("prompts/readers.py", "side"): (r"(\d{1,4}(?:\.\d{1,2})?)\s*[:/x×]\s*(\d{1,4}(?:\.\d{1,2})?)",),
    ("prompts/merging.py", "command"): tuple(command.pattern for command, _ in merging._COMMANDS),
    ("prompts/merging.py", "joined noun the"): (
        rf"(?:, | (?:with|and|wearing|mit|und|avec|et) )(?:(?:{merging._ARTICLES}) )?"
        rf"(?:{merging._WORD} ){{0,2}}a (?=[\s,.;]|\Z)",
    ),
    ("prompts/merging.py", "pattern"): (
        r"(?<![\w-])(?:(?:the|an?|one|ein|eine|einen|der|die|das|den|le|la|les|une?) )?(?:a b)(?![\w-])",
    ),
    ("prompts/turns.py", "names"): tuple(turns._NUMBERS.values()),
    ("prompts/foreign.py", "pattern"): tuple(rf"[\s=]*({each})(?=\s|\Z)" for each in foreign._VALUES),
    ("prompts/talk.py", "pattern"): tuple(
        make(name).pattern
        for make, kind in (
            (talk._of, "words"),
            (talk._first, "words"),
            (talk._inside, "words"),
            (talk._asks, "asks"),
        )
        for name in talk._lists()[kind]
    ),
    ("prompts/plain_words.py", "pattern"): (),  # of presets.toml: found where `_patterns` keeps them
    ("accounts/tiers.py", "key"): (),  # of a file that operators write
}
"""Patterns by the names that only their function knows, and what they may be."""


def _modules() -> Iterator[ModuleType]:
    for each in pkgutil.walk_packages(bot.__path__, "bot."):
        if not (each.name.startswith("bot.store.migrations") or each.name.endswith("__main__")):
            yield importlib.import_module(each.name)


def patterns() -> dict[str, re.Pattern[str]]:
    """All that modules keep, also in containers, in objects of ours and in what functions have cached."""
    found: dict[tuple[Any, int], tuple[str, re.Pattern[str]]] = {}
    seen: set[int] = set()

    def walk(name: str, value: object) -> None:
        if isinstance(value, re.Pattern):
            found.setdefault((value.pattern, value.flags), (name, value))
        elif id(value) not in seen:
            seen.add(id(value))
            for key, part in _parts(value):
                walk(f"{name}{key}", part)

    for module in _modules():
        for key, value in vars(module).items():
            walk(f"{module.__name__}.{key}", value)
    return {name: each for name, each in found.values() if isinstance(each.pattern, str)}


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in list(value.items()))
    elif isinstance(value, tuple | list | set | frozenset):
        yield from ((f"[{at}]", part) for at, part in enumerate(value))
    elif isinstance(value, CACHED):
        if not inspect.signature(value).parameters:
            yield "()", value()
    elif type(value).__module__.startswith("bot."):
        names = [*getattr(value, "__slots__", ()), *getattr(value, "__dict__", ())]
        yield from ((f".{name}", getattr(value, name, None)) for name in names)
    elif isinstance(value, type) and value.__module__.startswith("bot."):
        yield from ((f".{name}", part) for name, part in vars(value).items())


def written() -> Iterator[tuple[str, str, re.Pattern[str] | None]]:
    """Every use of `re` in the source: where, the method, and the pattern; None where nobody tells it."""
    for module in _modules():
        path = Path(str(module.__file__))
        place = str(path.relative_to(Path(bot.__path__[0])))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("re"), attr=method), args=[pattern, *rest]):
                    if method in (*METHODS, "compile"):
                        flags = _flags(method, node, rest)
                        for each in _evaluated(module, place, pattern):
                            where = f"{place}:{node.lineno}"
                            yield where, method, re.compile(each, flags) if each is not None else None
                case ast.ImportFrom(module="re"):
                    yield f"{place}:{node.lineno}", "import", None


def _flags(method: str, call: ast.Call, rest: list[ast.expr]) -> int:
    named = [each.value for each in call.keywords if each.arg == "flags"]
    placed = rest[{"compile": 0, "sub": 3, "subn": 3, "split": 2}.get(method, 1) :]
    return int(sum(eval(ast.unparse(each), {"re": re}) for each in (*named, *placed)))


def _evaluated(module: ModuleType, place: str, pattern: ast.expr) -> tuple[str | None, ...]:
    known = vars(module).keys() | vars(builtins).keys()
    there = [each for each in ast.walk(pattern) if isinstance(each, ast.Name)]
    own = {each.id for each in there if isinstance(each.ctx, ast.Store)}  # of a comprehension
    if names := {each.id for each in there} - own - known:
        return LOCAL.get((place, " ".join(sorted(names))), (None,))
    value = eval(ast.unparse(pattern), vars(module))
    return (value,) if isinstance(value, str) else ()


def _uses() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Each pattern and what is done with it; replacing all that is found is also a search for the first."""
    tried = set()
    for name, pattern in patterns().items():
        tried.add((pattern.pattern, pattern.flags))
        yield from _whole(name, pattern)
    for where, method, found in written():
        if found is None or (found.pattern, found.flags) in tried:
            continue
        if method == "compile":
            yield from _whole(where, found)
        else:
            use = getattr(found, method)
            yield f"{where} {method}", functools.partial(use, "") if method.startswith("sub") else use


def _whole(name: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, Callable[[str], object]]]:
    yield f"{name} fullmatch", pattern.fullmatch
    yield f"{name} sub", functools.partial(pattern.sub, "")


# ---- everything that reads what people typed


def functions() -> Mapping[str, Callable[[str], object]]:
    from sqlalchemy import Column, MetaData, Table, Text, create_engine, select

    from bot import commands, moderation, prompts
    from bot.adapters.discord import layout as discord
    from bot.adapters.slack import layout as slack
    from bot.adapters.slack import markup, slash_commands
    from bot.adapters.typed import typed
    from bot.adapters.web import auth, composer, views
    from bot.admin import csv_export
    from bot.commands.complete import Vocabulary
    from bot.errors import Refusal
    from bot.i18n.speech import translated
    from bot.messages.types import Card, CardPicture
    from bot.models import Job, Tier
    from bot.options import suggest
    from bot.prompts import styles
    from bot.store import rows
    from tests.examples import TINY, a_job, a_member

    def unless_refused(use: Callable[[str], object]) -> Callable[[str], object]:
        def used(text: str) -> object:
            try:
                return use(text)
            except (Refusal, ValueError):
                return None

        return used

    def card(text: str) -> Card:
        picture = CardPicture(alt=text, blob="x", width=8, height=8)
        return Card(kind="done", title=text, facts=(text,), body=(text,), pictures=(picture,), job="1a2b")

    database = create_engine("sqlite://").connect()
    table = Table("prompts", MetaData(), Column("folded", Text))
    table.create(database)

    def search(text: str) -> object:
        """Ten prompts for the words at the end of one that they nearly fit."""
        database.execute(table.delete())
        database.execute(table.insert(), [{"folded": text.casefold()}] * 10)
        wanted = rows.searched(table.c.folded, f"{text[1 - rows.MOST_SEARCHED :]}#")
        return database.execute(select(table).where(*wanted)).all()

    def complete(text: str) -> object:
        """An option that takes one of somebody's last jobs."""

        async def recent(*_: object, **__: object) -> list[Job]:
            return [a_job(prompt=text)] * 50

        nobody: Any = SimpleNamespace(jobs=recent)
        vocabulary = Vocabulary(nobody, nobody, nobody, (), nobody, nobody)
        return asyncio.run(vocabulary.complete("jobs", text, a_member()))

    tier = Tier(name="everyone", title="Everyone")
    rules = moderation.ModerationRules(
        blocked=("broccoli", "acme corp*", "a* b*"), allowed=("nude beach", "a b")
    )
    page = views.Views({})
    pages = page._environment.from_string("{{ card.title }}{{ card.body[0] }}{{ said(card) }}")
    found: dict[str, Callable[[str], object]] = {
        "judge": lambda text: moderation.judge([text]),
        "judge what to leave out": lambda text: moderation.judge(["a fox"], [text], rules),
        "parse": prompts.parse,
        "parse a flag": lambda text: prompts.parse(f"a fox --no {text}"),
        "parse quotes": lambda text: prompts.parse(f'a fox --no "{text}'),
        "parse an option": lambda text: prompts.parse("a fox", {"style": text}),
        "parse a number": lambda text: prompts.parse("a fox", {"seed": text}),
        "compose": lambda text: prompts.compose(prompts.parse(text), [TINY], tier),
        "render": lambda text: prompts.render(prompts.Draft(prompt=text, negative=text)),
        "styles": lambda text: (styles.load().style(text), styles.load().closest(text)),
        "suggestions": lambda text: suggest(text, [each.name for each in commands.COMMANDS]),
        "a person": lambda text: commands.check("admin person block", {"person": text}),
        "German": lambda text: translated(card(text), "de"),
        "Discord": lambda text: (discord.text(card(text)), discord._alt(card(text).pictures[0])),
        "Slack": lambda text: slack.blocks(card(text), {"x": "F1"}),
        "a page": lambda text: pages.render(card=card(text), language="en"),
        "Slack's marks": lambda text: slash_commands.plain(text, "T1"),
        "Slack's formatting": markup.meant,
        "choices in braces": permutations.expanded,
        "weights": weights.read,
        "/easel": slash_commands.read,
        "/easel settings": lambda text: slash_commands.read(f"settings {text}"),
        "typed": typed,
        "/settings": lambda text: typed(f"/settings {text}"),
        "the chips": lambda text: composer.read(text, {"aspect": "16:9"}),
        "a name": auth.clean_name,
        "a search's words": lambda text: commands.check("history", {"search": text}),
        "a search": search,
        "completion": complete,
        "a cell": lambda text: csv_export.row([text]),
    }
    return {name: unless_refused(use) for name, use in found.items()}


# ---- measuring


def measured(use: Callable[[str], object], unit: str = "", limit: float = LIMIT) -> tuple[float, str]:
    """Seconds of CPU for the worst text, and that text's name.

    Of all texts, or of those that repeat a unit. A time that grows with the square of the length is at most
    SHORTER² times as long with the whole text; with its cube, it would not be short even with the short text.
    """
    worst = (0.0, "")
    whole = texts()
    for name, text in texts(LENGTH // SHORTER).items():
        if unit and not name.startswith(f"{unit!r} "):
            continue
        took = _seconds(use, text)
        if took > limit / SHORTER**2:
            took = _seconds(use, whole[name])
        for _ in range(TRIES):
            took = min(took, _seconds(use, whole[name])) if took > limit else took
        worst = max(worst, (took, name))
    return worst


def _seconds(use: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    found = use(text)
    if isinstance(found, Iterator):
        for _ in found:
            pass
    return time.thread_time() - start


def main(what: str) -> None:
    uses = _uses() if what == "patterns" else functions().items()
    for name, use in uses:
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        use("a red fox in snow")  # what is made once is made
        limit = SLOWER.get(name, LIMIT)
        seconds, text = measured(use, limit=limit)
        sys.stdout.write(
            json.dumps({"name": name, "slow": seconds > limit, "seconds": seconds, "text": text})
        )
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
