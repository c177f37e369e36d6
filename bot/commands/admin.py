"""The commands of the group "admin"."""

from __future__ import annotations

from dataclasses import replace

from bot.commands.user import DEFAULTS, JOB, MODEL, STYLE
from bot.i18n import _
from bot.i18n.catalogs import LANGUAGES
from bot.options import Command, Option

MAX_SECONDS = 1e9  # device-seconds of one gift or budget

PERSON = Option(
    name="person",
    kind="person",
    help=_("The person: a mention, or an id such as discord:123."),
    required=True,
    maximum=100,
    completes="people",
    example="discord:123",
)
CHANNEL = Option(
    name="channel",
    kind="channel",
    help=_("The channel."),
    maximum=100,
    example="#general",
)
ROLE = Option(
    name="role",
    kind="role",
    help=_("The role or user group; “everyone” for all without one."),
    required=True,
    maximum=100,
    example="everyone",
)
TIER = Option(
    name="tier",
    kind="text",
    help=_("A tier's name; /admin tier list shows them. “none” removes it."),
    required=True,
    maximum=64,
    completes="tiers",
    example="team",
)
SECONDS = Option(
    name="seconds",
    kind="number",
    help=_("How many GPU seconds."),
    required=True,
    minimum=1,
    maximum=MAX_SECONDS,
    example="600",
)
PER = Option(
    name="per",
    kind="text",
    help=_("The period."),
    choices=("hour", "day", "week", "month"),
    default="month",
)
REASON = Option(name="reason", kind="text", help=_("The reason; the person sees it."), maximum=300)
RULE = Option(
    name="rule",
    kind="text",
    help=_("Allow only allowed ones, refuse it, or clear its rule."),
    choices=("allow", "refuse", "clear"),
)
LABEL = Option(
    name="label",
    kind="boolean",
    help=_("Whether images made here visibly say “AI” in a corner."),
)

ADMINISTRATION: tuple[Command, ...] = (
    Command(
        name="setup",
        help=_("Set Easel up here, a step at a time: channels, tiers, moderation, language."),
        administrators=True,
    ),
    Command(
        name="contest start",
        help=_("Start a contest in this channel: entries first, then a vote."),
        administrators=True,
        options=(
            Option(
                name="theme",
                kind="text",
                help=_("What it is about; everybody here reads it."),
                required=True,
                maximum=200,
                example="red foxes in snow",
            ),
            Option(
                name="days",
                kind="integer",
                help=_("For how many days entries are taken."),
                minimum=1,
                maximum=90,
                example="7",
                default="7",
                named=True,
            ),
            Option(
                name="until",
                kind="text",
                help=_("Or until when, in UTC: 2027-01-31 18:00."),
                maximum=40,
                example="2027-01-31 18:00",
                named=True,
            ),
            Option(
                name="entries",
                kind="integer",
                help=_("How many entries one person may have."),
                minimum=1,
                maximum=10,
                example="2",
                default="1",
                named=True,
            ),
            Option(
                name="voting",
                kind="integer",
                help=_("For how many days people vote."),
                minimum=1,
                maximum=30,
                example="3",
                default="3",
                named=True,
            ),
        ),
        examples=("red foxes in snow --days 7 --entries 2",),
    ),
    Command(
        name="contest end",
        help=_("Close the contest's entries and open its vote, or close its vote."),
        administrators=True,
    ),
    Command(
        name="contest export",
        help=_("The entries of the last contest as a file, with places and votes."),
        administrators=True,
        options=(
            Option(
                name="format",
                kind="text",
                help=_("For spreadsheets, or for programs."),
                choices=("csv", "json"),
                default="csv",
            ),
        ),
    ),
    Command(name="admin show", help=_("All that is set here: tiers, quotas, channels, rules.")),
    Command(
        name="admin status",
        help=_("Why it is slow: who waits how long, how busy the GPU is, what is paused."),
    ),
    Command(
        name="admin job",
        help=_("Cancel a job, hold it, resume it, or move it behind the others."),
        options=(
            JOB,
            Option(
                name="do",
                kind="text",
                help=_("What to do with it."),
                required=True,
                choices=("cancel", "hold", "release", "relax"),
            ),
        ),
        examples=("1a2b3c4d5e6f hold",),
    ),
    Command(
        name="admin person show",
        help=_("A person's tier, quotas, last jobs, and whether they are blocked."),
        options=(PERSON,),
        examples=("discord:123",),
    ),
    Command(
        name="admin tier person",
        help=_("Give a person a tier of their own here, whatever their roles."),
        options=(PERSON, TIER),
        examples=("discord:123 team",),
    ),
    Command(
        name="admin quota person",
        help=_("Give a person a quota of their own, in place of their tier's."),
        options=(
            PERSON,
            replace(
                SECONDS,
                help=_("How many GPU seconds; 0 goes back to their tier's."),
                minimum=0,
                example="7200",
            ),
            PER,
        ),
        examples=("discord:123 7200 per: week",),
    ),
    Command(
        name="admin quota role",
        help=_("Give each person with a role or in a user group a quota, in place of their tier's."),
        options=(
            ROLE,
            replace(
                SECONDS,
                help=_("How many GPU seconds; 0 goes back to their tier's."),
                minimum=0,
                example="3600",
            ),
            PER,
        ),
        examples=("everyone 1800 per: day",),
    ),
    Command(
        name="admin person gift",
        help=_("Give a person GPU seconds that last until they are used."),
        operator=True,
        options=(PERSON, SECONDS),
        examples=("discord:123 600",),
    ),
    Command(
        name="admin person reset",
        help=_("Reset a person's usage, so that their periods start again."),
        operator=True,
        options=(PERSON,),
        examples=("discord:123",),
    ),
    Command(
        name="admin person keys",
        help=_("The keys of the API that ask here: whose they are, and when each was last used."),
        options=(
            Option(
                name="revoke",
                kind="text",
                help=_("The id of a key to take back."),
                maximum=20,
                default=_("list them"),
                example="1a2b3c4d",
            ),
        ),
        examples=("", "revoke: 1a2b3c4d"),
    ),
    Command(
        name="admin person block",
        help=_("Refuse a person's requests and presses here, and cancel what they have waiting or running."),
        options=(
            PERSON,
            Option(
                name="hours",
                kind="integer",
                help=_("For how many hours."),
                minimum=1,
                maximum=87_600,
                example="24",
                default=_("until /admin person unblock"),
            ),
            REASON,
        ),
        examples=("discord:123 24",),
    ),
    Command(name="admin person unblock", help=_("Let a blocked person ask again."), options=(PERSON,)),
    Command(
        name="admin person invite",
        help=_("Make a link that lets someone into the web studio, as a person of that name."),
        operator=True,
        options=(
            Option(
                name="name",
                kind="text",
                help=_("Who they are there; the same name is the same person."),
                required=True,
                maximum=32,
                example="Ana",
            ),
        ),
        examples=("Ana",),
    ),
    Command(
        name="admin pause", help=_("Start nothing and accept nothing new; waiting jobs keep their place.")
    ),
    Command(name="admin drain", help=_("Drain: accept nothing new; accepted jobs still run.")),
    Command(name="admin resume", help=_("Resume after a pause or a drain.")),
    Command(name="admin tier list", help=_("The tiers, what they allow, and which roles have them.")),
    Command(
        name="admin tier role",
        help=_("Give everybody with a role or in a user group a tier."),
        options=(
            ROLE,
            TIER,
        ),
        examples=("everyone team",),
    ),
    Command(
        name="admin quota budget",
        help=_("GPU seconds that all people of a channel, or of this place, may use together."),
        options=(
            replace(
                SECONDS,
                help=_("How many GPU seconds; 0 removes the budget."),
                required=False,
                minimum=0,
                example="7200",
                default=_("show the budgets"),
            ),
            PER,
            replace(CHANNEL, default=_("the whole place")),
        ),
        examples=("7200 per: week channel: #spring-campaign",),
    ),
    Command(
        name="admin quota money",
        help=_("What people here may spend in a month on models that are paid for by the image."),
        options=(
            Option(
                name="amount",
                kind="number",
                help=_("How much a month; 0 removes the limit."),
                minimum=0,
                maximum=1_000_000,
                example="50",
                default=_("show what was spent"),
            ),
            Option(
                name="currency",
                kind="text",
                help=_("Its three letters, where models have several."),
                maximum=3,
                example="EUR",
                default=_("the models' own"),
            ),
        ),
        examples=("50",),
    ),
    Command(
        name="admin set channel",
        help=_("In which channels Easel may be used, and by which words. Without options it shows them."),
        options=(
            CHANNEL,
            RULE,
            Option(
                name="words",
                kind="text",
                help=_("What mentions and replies do there: paint, ask by a button first, or nothing."),
                choices=("paint", "buttons", "off"),
            ),
        ),
        examples=("#general refuse", "#general words: buttons"),
    ),
    Command(
        name="admin set models",
        help=_("Which models may be asked for here. Without options it shows them."),
        options=(MODEL, RULE),
        examples=("easel-tiny allow",),
    ),
    Command(
        name="admin set loras",
        help=_("Which LoRAs may be asked for here. Without options it shows them."),
        options=(
            Option(name="lora", kind="text", help=_("A LoRA by name."), maximum=100, completes="loras"),
            RULE,
        ),
        examples=("ink refuse",),
    ),
    Command(
        name="admin set styles",
        help=_("Which styles may be asked for here. Without options it shows them."),
        options=(replace(STYLE, maximum=100), RULE),
        examples=("pixel-art refuse",),
    ),
    Command(
        name="admin set defaults",
        help=_("Defaults of everybody here who has none of their own. Without options it shows them."),
        options=(*DEFAULTS, LABEL),
        examples=("--style 3d --count 2",),
    ),
    Command(
        name="admin set language",
        help=_("In which language Easel answers here. Without options it shows it."),
        options=(
            Option(
                name="language",
                kind="text",
                help=_("The language, or own: that of each person."),
                choices=(*LANGUAGES, "own"),
            ),
        ),
        examples=("de",),
    ),
    Command(
        name="admin set moderation",
        help=_("How strictly words and images are checked here. Without options it shows it."),
        options=(
            Option(
                name="strictness",
                kind="text",
                help=_("Within the bounds that this Easel keeps everywhere."),
                choices=("relaxed", "standard", "strict"),
            ),
            Option(name="refuse", kind="text", help=_("A word or phrase to refuse here."), maximum=100),
            Option(name="allow", kind="text", help=_("A word or phrase to allow here."), maximum=100),
            Option(name="clear", kind="text", help=_("Forget a word or phrase of either list."), maximum=100),
        ),
        examples=("strict",),
    ),
    Command(
        name="admin set moderators",
        help=_(
            "Who may delete and cancel others' jobs here, and see reports. Without options it shows them."
        ),
        options=(
            Option(
                name="role",
                kind="role",
                help=_("A role or user group."),
                maximum=100,
                example="1234",
            ),
            replace(PERSON, required=False),
            Option(
                name="rule",
                kind="text",
                help=_("Add them, or remove them."),
                choices=("add", "remove"),
                default="add",
            ),
        ),
        examples=("person: discord:123", "person: discord:123 rule: remove"),
    ),
    Command(
        name="admin decide",
        help=_("Keep or remove images that were reported."),
        options=(
            JOB,
            Option(
                name="do",
                kind="text",
                help=_("Removing counts as a strike for whoever asked for them."),
                required=True,
                choices=("keep", "remove"),
            ),
        ),
        examples=("1a2b3c4d5e6f keep",),
    ),
    Command(
        name="admin log",
        help=_("The channel that tells of reports, blocks, failures and changes."),
        options=(
            CHANNEL,
            Option(name="off", kind="boolean", help=_("No log any more.")),
        ),
        examples=("#general",),
    ),
    Command(
        name="admin licence",
        help=_("Whether this place is commercial: then models that forbid it are not used."),
        options=(
            Option(
                name="use",
                kind="text",
                help=_("Commercial use, or any. Without it, the command shows what is set."),
                choices=("commercial", "any"),
            ),
        ),
        examples=("commercial",),
    ),
    Command(
        name="admin spoiler",
        help=_("Where, or for whom, images are covered until someone clicks. Without options it shows it."),
        options=(
            CHANNEL,
            replace(ROLE, required=False),
            Option(
                name="rule",
                kind="text",
                help=_("Cover them, or cover them no more."),
                choices=("add", "remove"),
                default="add",
            ),
        ),
        examples=("#general",),
    ),
    Command(
        name="admin audit",
        help=_("Who changed what, newest first."),
        options=(
            Option(name="search", kind="text", help=_("Search the audit log."), maximum=100, example="gift"),
        ),
    ),
    Command(
        name="admin export",
        help=_("The ledger as a CSV file."),
        options=(
            Option(
                name="days",
                kind="integer",
                help=_("How many days back."),
                minimum=1,
                maximum=3650,
                example="30",
                default="30",
            ),
        ),
    ),
)
