"""The commands that everybody has."""

from __future__ import annotations

from dataclasses import replace

from bot.options import Command, Option
from bot.prompts.draft import MAX_COUNT, PARAMS

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

FOR_MEMBERS: tuple[Command, ...] = (
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
    Command(
        name="verify",
        help="Was a picture made by this Easel, and was it changed since? Only you see the answer.",
        options=(
            Option(name="picture", kind="picture", help="The picture: PNG, JPEG or WebP."),
            Option(
                name="message",
                kind="text",
                help="Or what shows it: the link or id of a message here, or a job's id.",
                maximum=400,
                example="1a2b3c4d5e6f",
            ),
        ),
        examples=("1a2b3c4d5e6f",),
    ),
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
