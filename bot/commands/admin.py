"""The commands of the group "admin"."""

from __future__ import annotations

from dataclasses import replace

from bot.commands.user import DEFAULTS, JOB, MODEL, STYLE
from bot.options import Command, Option

MAX_SECONDS = 1e9  # device-seconds of one gift or budget

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
LABEL = Option(
    name="label",
    kind="boolean",
    help="Whether pictures made here visibly say “AI” in a corner.",
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
        help="In which channels Easel paints, and from which words. Without options it shows them.",
        options=(
            CHANNEL,
            RULE,
            Option(
                name="words",
                kind="text",
                help="What mentions and replies do there: paint, ask by a button first, or nothing.",
                choices=("paint", "buttons", "off"),
            ),
        ),
        examples=("#general refuse", "#general words: buttons"),
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
        options=(*DEFAULTS, LABEL),
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
