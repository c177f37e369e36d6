"""The vocabulary, declared once: every command, its options, ranges, choices and help.

The adapters' slash options, modals and chips, the command line's flags, the flags inside a prompt and /help
are all made from `COMMANDS`. The names keep to the strictest platform: words of `^[-_a-z0-9]{1,32}$`, help of
at most 100 characters, required options first, at most 25 subcommands in a group.

A name of two words, as in "admin gift", is a subcommand: `group` is its first word, `verb` its second. An
adapter shows a group as its platform does (`/admin gift`, `/easel admin gift`, `python -m bot admin gift`)
and passes the whole name to `Studio.handle`. `find` reads a typed line. Commands of the group "admin" are for
those whose `Member.admin` is set; the studio decides, adapters may only hide them from the others.

A person, role or channel is text. Where a platform has a picker for them, its adapter uses that and passes a
member's id ("discord:123"), or the platform's own id of a role or channel, as it stands in `Member.roles` and
`Origin.channel`. Typed mentions (`<@123>`, `<@&5>`, `<#C1|general>`) are understood too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.errors import Refusal
from bot.models import Tier
from bot.options import Command, Option, Unusable, Value, blank, clip, read_value, suggest, unknown
from bot.prompts.draft import MAX_COUNT, PARAMS
from bot.prompts.param import Param
from engine.types import ModelInfo

MAX_SECONDS = 1e9  # device-seconds of one gift or budget

# --- the options ------------------------------------------------------------------------------------------

STYLE, MODEL, COUNT = PARAMS["style"], PARAMS["model"], PARAMS["count"]
JOB = Option(
    name="job",
    kind="text",
    help="The job's id, as its info shows it.",
    required=True,
    maximum=100,
    completes="jobs",
    example="1a2b3c4d5e6f",
)
PICTURE = Option(
    name="picture",
    kind="integer",
    help="Which of its pictures, from 1.",
    minimum=1,
    maximum=MAX_COUNT,
    example="2",
    default="1",
)
DEFAULTS = (
    STYLE,
    MODEL,
    COUNT,
    PARAMS["aspect"],
    PARAMS["size"],
    PARAMS["private"],
    Option(name="reset", kind="boolean", help="Go back to the studio's own defaults."),
)
"""What /settings sets for a person, and /admin defaults for everybody here."""

COMMANDS: tuple[Command, ...] = (
    Command(
        name="imagine",
        help="Paint pictures from words.",
        options=tuple(PARAMS.values()),
        examples=(
            "a red fox on a light blue background --seed 7",
            "a red car --ar 16:9 --seed 7 --no text, blurry",
            'a sunflower --style "3d render" --count 2',
            "two pictures of a car as 3d render, wide",
        ),
    ),
    Command(
        name="upscale",
        help="Enlarge one picture of a job ×4 by super-resolution.",
        options=(replace(JOB, completes="pictures"), PICTURE),
        examples=("1a2b3c4d5e6f 2",),
    ),
    Command(
        name="vary",
        help="Paint variations of one picture of a job.",
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            Option(
                name="strength",
                kind="text",
                help="Subtle keeps the composition; strong keeps little more than the idea.",
                choices=("subtle", "strong"),
                default="subtle",
            ),
        ),
        examples=("1a2b3c4d5e6f 2 strong",),
    ),
    Command(name="queue", help="Who waits, who paints, and whose turn is next."),
    Command(
        name="cancel",
        help="Stop one of your jobs: the newest that waits or paints, or the one you name.",
        options=(Option(name="job", kind="text", help=JOB.help, maximum=100, completes="unfinished"),),
    ),
    Command(
        name="history",
        help="Pictures painted here, newest first.",
        options=(
            Option(name="search", kind="text", help="Words of the prompt.", maximum=200, example="fox"),
            STYLE,
            Option(name="everyone", kind="boolean", help="Not only your own.", default="no"),
        ),
        examples=("fox",),
    ),
    Command(name="show", help="Show a job again.", options=(JOB,), examples=("1a2b3c4d5e6f",)),
    Command(name="reports", help="Reported pictures where you moderate, the longest waiting first."),
    Command(name="quota", help="What you have used of your allowance, and when it resets."),
    Command(name="styles", help="The named styles."),
    Command(
        name="settings",
        help="Your defaults, and where you are logged in. Without options it shows them.",
        options=(
            *DEFAULTS,
            Option(
                name="metadata",
                kind="boolean",
                help="Whether your prompts go into the files of your pictures.",
            ),
            Option(name="logout", kind="boolean", help="Log every browser out of the web studio."),
        ),
    ),
    Command(
        name="studio",
        help="Open the web studio as yourself, by a private link that logs one browser in.",
    ),
    Command(
        name="link",
        help="Use one account here and on another side: ask for a code there, type it here.",
        options=(
            Option(
                name="code",
                kind="text",
                help="The code that /link showed you on the other side.",
                maximum=40,
                default="you get a code to type on the other side",
            ),
            Option(
                name="leave",
                kind="boolean",
                help="Leave the account that you share, with an own one that has used as much.",
                default="no",
            ),
        ),
        examples=("ABCDE-FGHJK", "--leave"),
    ),
    Command(
        name="privacy export",
        help="A copy of all your data: jobs, pictures, ledger, defaults.",
        options=(
            Option(
                name="part",
                kind="integer",
                help="Which part, where it is too large for one file.",
                minimum=1,
                maximum=10_000,
                example="2",
                default="1",
            ),
        ),
    ),
    Command(name="privacy delete", help="Delete your pictures, prompts and defaults. It asks you first."),
    Command(
        name="help",
        help="What can be asked for, and how.",
        options=(Option(name="command", kind="text", help="One command.", maximum=65, completes="commands"),),
    ),
)

# --- administration ---------------------------------------------------------------------------------------

PERSON = Option(
    name="person",
    kind="person",
    help="Whom: a mention, or an id such as discord:123.",
    required=True,
    maximum=100,
    completes="people",
    example="discord:123",
)
CHANNEL = Option(
    name="channel",
    kind="channel",
    help="Which channel.",
    maximum=100,
    example="#general",
)
TIER = Option(
    name="tier",
    kind="text",
    help="A tier's name; /admin tiers shows them. “none” takes it away.",
    required=True,
    maximum=64,
    completes="tiers",
    example="team",
)
SECONDS = Option(
    name="seconds",
    kind="number",
    help="How many device-seconds.",
    required=True,
    minimum=1,
    maximum=MAX_SECONDS,
    example="600",
)
PER = Option(
    name="per",
    kind="text",
    help="In which period.",
    choices=("hour", "day", "week", "month"),
    default="month",
)
REASON = Option(name="reason", kind="text", help="Why; they are told.", maximum=300)
RULE = Option(
    name="rule",
    kind="text",
    help="Allow only those that are allowed, refuse it, or clear what was said about it.",
    choices=("allow", "refuse", "clear"),
)

ADMINISTRATION: tuple[Command, ...] = (
    Command(
        name="admin status", help="Why is it slow: who waits how long, the device's pace, what is paused."
    ),
    Command(
        name="admin job",
        help="Cancel a job, hold it in line, let it go on, or move it behind the others.",
        options=(
            JOB,
            Option(
                name="do",
                kind="text",
                help="What to do with it.",
                required=True,
                choices=("cancel", "hold", "release", "relax"),
            ),
        ),
        examples=("1a2b3c4d5e6f hold",),
    ),
    Command(
        name="admin person",
        help="A person's tier, allowances, last jobs, and whether they are blocked.",
        options=(PERSON,),
        examples=("discord:123",),
    ),
    Command(
        name="admin tier",
        help="Give a person a tier of their own here, whatever their roles.",
        options=(PERSON, TIER),
        examples=("discord:123 team",),
    ),
    Command(
        name="admin set",
        help="Give a person an allowance of their own, everywhere, in place of their tier's.",
        operator=True,
        options=(
            PERSON,
            replace(
                SECONDS,
                help="How many device-seconds; 0 leaves it to their tier again.",
                minimum=0,
                example="7200",
            ),
            PER,
        ),
        examples=("discord:123 7200 per: week",),
    ),
    Command(
        name="admin gift",
        help="Give a person device-seconds that last until they are used.",
        operator=True,
        options=(PERSON, SECONDS),
        examples=("discord:123 600",),
    ),
    Command(
        name="admin reset",
        help="Empty a person's used allowances, so that their periods begin anew.",
        operator=True,
        options=(PERSON,),
        examples=("discord:123",),
    ),
    Command(
        name="admin block",
        help="Refuse a person's requests and presses here, and cancel what they have waiting or running.",
        options=(
            PERSON,
            Option(
                name="hours",
                kind="integer",
                help="For how long.",
                minimum=1,
                maximum=87_600,
                example="24",
                default="until /admin unblock",
            ),
            REASON,
        ),
        examples=("discord:123 24",),
    ),
    Command(name="admin unblock", help="Let a blocked person ask again.", options=(PERSON,)),
    Command(
        name="admin invite",
        help="Make a link that lets somebody into the web studio, as a person of that name.",
        operator=True,
        typed=True,
        options=(
            Option(
                name="name",
                kind="text",
                help="Who they are there; the same name is the same person.",
                required=True,
                maximum=32,
                example="Ana",
            ),
        ),
        examples=("Ana",),
    ),
    Command(name="admin pause", help="Start nothing more and take nothing new; what waits stays in line."),
    Command(name="admin drain", help="Take nothing new; what was accepted is painted."),
    Command(name="admin resume", help="Go on after a pause or a drain."),
    Command(name="admin tiers", help="The tiers, what they allow, and which roles have them."),
    Command(
        name="admin role",
        help="Give everybody with a role or in a user group a tier.",
        options=(
            Option(
                name="role",
                kind="role",
                help="The role or user group; “everyone” for all without one.",
                required=True,
                maximum=100,
                example="everyone",
            ),
            TIER,
        ),
        examples=("everyone team",),
    ),
    Command(
        name="admin budget",
        help="Device-seconds that all people of a channel, or of this place, may use together.",
        options=(
            replace(
                SECONDS,
                help="How many device-seconds; 0 takes the budget away.",
                required=False,
                minimum=0,
                example="7200",
                default="show the budgets",
            ),
            PER,
            replace(CHANNEL, default="the whole place"),
        ),
        examples=("7200 per: week channel: #spring-campaign",),
    ),
    Command(
        name="admin channel",
        help="In which channels Easel paints. Without options it shows them.",
        options=(CHANNEL, RULE),
        examples=("#general refuse",),
    ),
    Command(
        name="admin models",
        help="Which models may be asked for here. Without options it shows them.",
        options=(MODEL, RULE),
        examples=("easel-tiny allow",),
    ),
    Command(
        name="admin styles",
        help="Which styles may be asked for here. Without options it shows them.",
        options=(replace(STYLE, maximum=100), RULE),
        examples=("pixel-art refuse",),
    ),
    Command(
        name="admin defaults",
        help="Defaults of everybody here who has none of their own. Without options it shows them.",
        options=DEFAULTS,
        examples=("--style 3d --count 2",),
    ),
    Command(
        name="admin language",
        help="In which language Easel answers here. Without options it shows it.",
        options=(
            Option(
                name="language",
                kind="text",
                help="English, German, or own: that of each person.",
                choices=("en", "de", "own"),
            ),
        ),
        examples=("de",),
    ),
    Command(
        name="admin moderation",
        help="How strictly words and pictures are checked here. Without options it shows it.",
        options=(
            Option(
                name="strictness",
                kind="text",
                help="Within the bounds that this Easel keeps everywhere.",
                choices=("relaxed", "standard", "strict"),
            ),
            Option(name="refuse", kind="text", help="A word or phrase to refuse here.", maximum=100),
            Option(name="allow", kind="text", help="A word or phrase to allow here.", maximum=100),
            Option(name="clear", kind="text", help="Forget a word or phrase of either list.", maximum=100),
        ),
        examples=("strict",),
    ),
    Command(
        name="admin moderators",
        help="Who may delete and cancel others' jobs here, and see reports. Without options it shows them.",
        options=(
            Option(
                name="role",
                kind="role",
                help="A role or user group.",
                maximum=100,
                example="1234",
            ),
            replace(PERSON, required=False),
            Option(
                name="rule",
                kind="text",
                help="Add them, or remove them.",
                choices=("add", "remove"),
                default="add",
            ),
        ),
        examples=("person: discord:123", "person: discord:123 rule: remove"),
    ),
    Command(
        name="admin decide",
        help="Keep or remove pictures that were reported.",
        options=(
            JOB,
            Option(
                name="do",
                kind="text",
                help="Removing counts as a strike for whoever asked for them.",
                required=True,
                choices=("keep", "remove"),
            ),
        ),
        examples=("1a2b3c4d5e6f keep",),
    ),
    Command(
        name="admin audit",
        help="Who changed what, newest first.",
        options=(Option(name="search", kind="text", help="Words of the line.", maximum=100, example="gift"),),
    ),
    Command(
        name="admin export",
        help="The ledger as a CSV file.",
        options=(
            Option(
                name="days",
                kind="integer",
                help="How many days back.",
                minimum=1,
                maximum=3650,
                example="30",
                default="30",
            ),
        ),
    ),
)

COMMANDS = (*COMMANDS, *ADMINISTRATION)


FOR_ALL = tuple(each for each in COMMANDS if not each.admin)
"""Those that need no administrator."""


def group(name: str) -> tuple[Command, ...]:
    """Return the subcommands of a group; none when there is no such group."""
    return tuple(each for each in COMMANDS if each.group == name)


ALSO = {"admin review": "reports"}
"""Further names of commands. A group has room for 25, and these two do the same."""


def command(name: str) -> Command:
    """Return the command of that name. Raises Refusal for a name that is not in the vocabulary."""
    name = ALSO.get(name, name)
    found = next((each for each in COMMANDS if each.name == name), None)
    if found is None:
        near = suggest(name, [each.name for each in group(name.split(" ")[0]) or COMMANDS])
        hint = f"Did you mean /{near}?" if near else "/help lists the commands."
        raise Refusal(f"There is no command /{clip(name)}. {hint}", code="unknown")
    return found


def find(line: str) -> tuple[Command, str]:
    """Return the command that a typed line begins with, and the rest of the line. Raises Refusal."""
    first, _, rest = line.strip().partition(" ")
    if not group(first.casefold()):
        return command(first.casefold()), rest.strip()
    verb, _, rest = rest.strip().partition(" ")
    return command(f"{first} {verb}".strip().casefold()), rest.strip()


def check(name: str, options: Mapping[str, object]) -> dict[str, Value]:
    """Convert a command's options to typed values. Raises Refusal for the first that cannot be used.

    Empty text and None mean "not given" and are left out.
    """
    asked = command(name)
    for key in options:
        if asked.option(key) is None:
            raise Refusal(unknown(f"option of /{name} called", key, (each.name for each in asked.options)))
    said = {key: value for key, value in options.items() if not blank(value)}
    for each in asked.options:
        if each.required and each.name not in said:
            example = f", for example {each.example}" if each.example else ""
            raise Refusal(f"/{name} needs a {each.name}{example}.", code="missing")
    try:
        return {each.name: read_value(each, said[each.name]) for each in asked.options if each.name in said}
    except Unusable as error:
        raise Refusal(str(error)) from error


# --- the commands as they are for somebody ----------------------------------------------------------------


def vocabulary(models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> tuple[Command, ...]:
    """Return the commands as far as any of these models can do them, with the widest ranges of all tiers."""
    pictures = any("image_to_image" in model.tasks for model in models)
    known = (each for each in COMMANDS if pictures or each.name != "vary")
    return tuple(each if each.admin else _narrowed(each, models, tiers) for each in known)


def _narrowed(command: Command, models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> Command:
    options = (each.narrowed(models, tiers) if isinstance(each, Param) else each for each in command.options)
    return replace(command, options=tuple(each for each in options if each))
