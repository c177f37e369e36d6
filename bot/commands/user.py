"""The commands that everybody has."""

from __future__ import annotations

from dataclasses import replace

from bot.i18n import _
from bot.images.file_formats import FORMATS, PRINT_FORMATS, QUALITY
from bot.models import API_SCOPES
from bot.options import Command, Option
from bot.prompts.draft import MAX_COUNT, MAX_PROMPT, MOST_IMAGES, PARAMS

STYLE, MODEL, COUNT = PARAMS["style"], PARAMS["model"], PARAMS["count"]
JOB = Option(
    name="job",
    kind="text",
    help=_("The job's id, as its info shows it."),
    required=True,
    maximum=100,
    completes="jobs",
    example="1a2b3c4d5e6f",
)
PICTURE = Option(
    name="picture",
    kind="integer",
    help=_("Which of its images, from 1."),
    minimum=1,
    maximum=MAX_COUNT,
    example="2",
    default="1",
)
PROMPT = PARAMS["prompt"]
MOST_PAGES = 50  # of favourites, ten on each
DEFAULTS = (
    STYLE,
    MODEL,
    COUNT,
    PARAMS["aspect"],
    PARAMS["size"],
    PARAMS["private"],
    Option(name="reset", kind="boolean", help=_("Go back to the studio's own defaults.")),
)
"""What /settings sets for a person, and /admin set defaults for everybody here."""

FOR_MEMBERS: tuple[Command, ...] = (
    Command(
        name="imagine",
        help=_("Generate images from a description."),
        options=tuple(PARAMS.values()),
        examples=(
            "a red fox on a light blue background --seed 7",
            "a sunflower --seed 7 --no text, blurry",
            'a sunflower --style "3d render" --count 2',
            "two pictures of a car as 3d render, wide",
        ),
    ),
    Command(
        name="edit",
        help=_("Change an image by your words; the rest of it stays as it is."),
        options=(
            replace(PARAMS["prompt"], help=_("What to change, for example: make the cup red.")),
            replace(PARAMS["source"], help=_("The image to change.")),
            Option(
                name="image",
                kind="text",
                help=_("Or a job's image, or a reference that you saved."),
                maximum=100,
                completes="references",
                example="1a2b3c4d5e6f:2",
            ),
            PARAMS["images"],
            PARAMS["strength"],
            STYLE,
            MODEL,
            COUNT,
            PARAMS["private"],
        ),
        examples=("make the cup red --source 1a2b3c4d5e6f:2",),
    ),
    Command(
        name="blend",
        help=_("Blend two to five images into one."),
        options=(
            *(
                Option(name=f"image{number}", kind="picture", help=_("An image: PNG, JPEG or WebP."))
                for number in range(1, MOST_IMAGES + 1)
            ),
            replace(PARAMS["images"], required=False),
            Option(
                name="prompt",
                kind="text",
                help=_("What the blend should show, in your own words."),
                maximum=MAX_PROMPT,
                example="a fox",
            ),
            PARAMS["weights"],
            PARAMS["strength"],
            PARAMS["aspect"],
            STYLE,
            MODEL,
            COUNT,
            PARAMS["private"],
        ),
        examples=("--images 1a2b3c4d5e6f:1,1a2b3c4d5e6f:2",),
    ),
    Command(
        name="reference save",
        help=_("Save an image under a name, to paint by it with --sref, --cref or --images."),
        options=(
            Option(
                name="name",
                kind="text",
                help=_("A name of one word."),
                required=True,
                maximum=32,
                example="brand",
            ),
            Option(name="picture", kind="picture", help=_("The image: PNG, JPEG or WebP.")),
            Option(
                name="image",
                kind="text",
                help=_("Or a job's image."),
                maximum=100,
                completes="pictures",
                example="1a2b3c4d5e6f:2",
            ),
            Option(
                name="place",
                kind="boolean",
                help=_("For everybody here; administrators can save such."),
                default="no",
            ),
        ),
        examples=("brand --image 1a2b3c4d5e6f:2",),
    ),
    Command(name="reference list", help=_("References that you and this place have saved.")),
    Command(
        name="reference delete",
        help=_("Delete a saved reference."),
        options=(
            Option(
                name="name",
                kind="text",
                help=_("Its name."),
                required=True,
                maximum=32,
                completes="references",
                example="brand",
            ),
            Option(name="place", kind="boolean", help=_("That of this place."), default="no"),
        ),
        examples=("brand",),
    ),
    Command(
        name="upscale",
        help=_("Upscale one image of a job: ×4, or to a size in pixels or in print."),
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            Option(
                name="kind",
                kind="text",
                help=_("Exact is super-resolution alone; creative lets the model paint finer detail."),
                choices=("exact", "creative"),
                default="exact",
            ),
            Option(
                name="to",
                kind="text",
                help=_("How large: 2x, 3000x2000, A4, or 20x30 cm at 300 dpi."),
                maximum=40,
                example="A4",
                default="4x",
            ),
            Option(
                name="print",
                kind="text",
                help=_("For a printer, cut to a paper at 300 dpi: A3, A4, A5, A6, Letter."),
                maximum=20,
                example="A4",
            ),
            Option(
                name="bleed",
                kind="text",
                help=_("How much more than the paper at each side, to be cut off."),
                maximum=20,
                example="3mm",
                default="0",
            ),
            Option(
                name="file",
                kind="text",
                help=_("The printer's file, in CMYK: PDF/X-4 or TIFF."),
                choices=PRINT_FORMATS,
                default="pdf",
            ),
        ),
        examples=(
            "1a2b3c4d5e6f 2",
            "1a2b3c4d5e6f 2 creative",
            "1a2b3c4d5e6f 2 --print a4 --bleed 3mm",
            '1a2b3c4d5e6f --to "20x30 cm at 300 dpi"',
        ),
    ),
    Command(
        name="download",
        help=_("Get a job's images as files, in the format that you need."),
        options=(
            replace(JOB, completes="pictures"),
            replace(PICTURE, default=_("all of them")),
            Option(
                name="format",
                kind="text",
                help=_("The files' format. SVG suits flat images."),
                choices=FORMATS,
                default="png",
            ),
            Option(
                name="quality",
                kind="integer",
                help=_("Of JPEG, WebP, AVIF and PDF: 1 is the smallest file, 100 the best."),
                minimum=1,
                maximum=100,
                example="80",
                default=str(QUALITY),
            ),
            Option(
                name="loop",
                kind="boolean",
                help=_("All of them as one film that loops, as GIF or WebP."),
                default="no",
            ),
        ),
        examples=("1a2b3c4d5e6f 2 webp --quality 80", "1a2b3c4d5e6f --format gif --loop"),
    ),
    Command(
        name="alt",
        help=_("The alternative text of an image, for people who cannot see it: show or change it."),
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            Option(
                name="text",
                kind="text",
                help=_("What the image shows, in your own words."),
                maximum=1000,
                example="A fox asleep in the snow",
            ),
            Option(name="reset", kind="boolean", help=_("Go back to the suggested text."), default="no"),
        ),
        examples=("1a2b3c4d5e6f 2 A fox asleep in the snow",),
    ),
    Command(
        name="cutout",
        help=_("Cut out what one image of a job shows: a transparent PNG, or on a colour."),
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            Option(
                name="background",
                kind="text",
                help=_("What to put it on: transparent, a colour word, or #0af."),
                maximum=30,
                example="blue",
                default="transparent",
            ),
        ),
        examples=("1a2b3c4d5e6f 2", "1a2b3c4d5e6f 2 blue"),
    ),
    Command(
        name="vary",
        help=_("Generate variations of one image of a job."),
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            Option(
                name="strength",
                kind="text",
                help=_("Subtle keeps the composition; strong keeps little more than the idea."),
                choices=("subtle", "strong"),
                default="subtle",
            ),
        ),
        examples=("1a2b3c4d5e6f 2 strong",),
    ),
    Command(
        name="extend",
        help=_("Paint around one image of a job, which stays as it is."),
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            replace(PARAMS["extend"], name="to", flags=(), known_to=None, default="1.5x"),
            replace(PARAMS["prompt"], required=False, named=True, help=_("What to paint there.")),
        ),
        examples=("1a2b3c4d5e6f 2 16:9",),
    ),
    Command(
        name="region",
        help=_("Change a part of one image of a job, and nothing else."),
        options=(
            replace(JOB, completes="pictures"),
            PICTURE,
            replace(PARAMS["region"], flags=()),
            replace(PARAMS["mask"], flags=()),
            replace(PARAMS["prompt"], required=False, named=True, help=_("What to paint there.")),
        ),
        examples=("1a2b3c4d5e6f 2 --region top right --prompt a yellow sun",),
    ),
    Command(name="queue", help=_("The queue: who’s generating, who’s waiting, and who goes next.")),
    Command(
        name="cancel",
        help=_("Cancel one of your jobs: the newest unfinished one, or the one you name."),
        options=(Option(name="job", kind="text", help=JOB.help, maximum=100, completes="unfinished"),),
    ),
    Command(
        name="history",
        help=_("Images generated here, newest first."),
        options=(
            Option(name="search", kind="text", help=_("Search the prompts."), maximum=200, example="fox"),
            STYLE,
            Option(name="everyone", kind="boolean", help=_("Not only your own."), default="no"),
        ),
        examples=("fox",),
    ),
    Command(
        name="favourites",
        help=_("Images that you marked with ⭐, newest first. Only you see them."),
        options=(
            Option(name="search", kind="text", help=_("Search the prompts."), maximum=200, example="fox"),
            Option(
                name="page",
                kind="integer",
                help=_("Which page of ten."),
                minimum=1,
                maximum=MOST_PAGES,
                example="2",
                default="1",
            ),
        ),
        examples=("fox",),
    ),
    Command(name="contest show", help=_("The contest that runs here, and what of it is yours.")),
    Command(
        name="contest enter",
        help=_("Enter one of your images in the contest that runs here."),
        options=(replace(JOB, completes="pictures"), replace(PICTURE, default="")),
        examples=("1a2b3c4d5e6f 2",),
    ),
    Command(name="show", help=_("Show a job again."), options=(JOB,), examples=("1a2b3c4d5e6f",)),
    Command(
        name="verify",
        help=_("Was an image made by this Easel, and was it changed since? Only you see the answer."),
        options=(
            Option(name="picture", kind="picture", help=_("The image: PNG, JPEG or WebP.")),
            Option(
                name="message",
                kind="text",
                help=_("Or what shows it: the link or id of a message here, or a job's id."),
                maximum=400,
                example="1a2b3c4d5e6f",
            ),
        ),
        examples=("1a2b3c4d5e6f",),
    ),
    Command(
        name="describe",
        help=_("Prompts for what an image shows, to paint something like it. Only you see the answer."),
        options=(
            Option(name="picture", kind="picture", help=_("The image: PNG, JPEG or WebP.")),
            Option(
                name="message",
                kind="text",
                help=_("Or what shows it: the link or id of a message here, or a job's image."),
                maximum=400,
                example="1a2b3c4d5e6f:2",
            ),
        ),
        examples=("1a2b3c4d5e6f:2",),
    ),
    Command(
        name="shorten",
        help=_("A prompt without what can be left out, to paint or edit. Nothing is painted by itself."),
        options=(PROMPT,),
        examples=("please paint a very beautiful red fox, masterpiece, 8k",),
    ),
    Command(
        name="expand",
        help=_("A prompt with light, view and detail added, to paint or edit. Nothing is painted by itself."),
        options=(PROMPT,),
        examples=("a red fox",),
    ),
    Command(name="reports", help=_("Reported images where you moderate, the longest waiting first.")),
    Command(
        name="quota",
        help=_("How many images you have left today, what you used of your quota, and when it resets."),
    ),
    Command(name="styles", help=_("The named styles.")),
    Command(
        name="settings",
        help=_("Your defaults, and where you are logged in. Without options it shows them."),
        options=(
            *DEFAULTS,
            Option(
                name="metadata",
                kind="boolean",
                help=_("Whether your prompts go into the files of your images."),
            ),
            Option(
                name="format",
                kind="text",
                help=_("The format of the files that Download gives, where you say no other."),
                choices=FORMATS,
                default="png",
            ),
            Option(
                name="notify",
                kind="boolean",
                help=_("Whether finished images mention you."),
                default="yes",
            ),
            Option(name="logout", kind="boolean", help=_("Log out of the web studio in every browser.")),
        ),
    ),
    Command(
        name="studio",
        help=_("Open the web studio as yourself, by a private link that logs one browser in."),
    ),
    Command(
        name="api create",
        help=_("A key with which your programs ask for images as you. It is shown once."),
        options=(
            Option(
                name="name",
                kind="text",
                help=_("What you call it."),
                maximum=40,
                example="blog",
                default="key",
            ),
            Option(
                name="scope",
                kind="text",
                help=_("All images, relaxed ones alone (they are free), or only the list of models."),
                choices=API_SCOPES,
                default=API_SCOPES[0],
            ),
        ),
        examples=("blog",),
    ),
    Command(name="api list", help=_("Your API keys, and when each was last used.")),
    Command(
        name="api revoke",
        help=_("Take an API key back. It works no more from then on."),
        options=(
            Option(
                name="key",
                kind="text",
                help=_("Its id or name, as /api list shows it."),
                required=True,
                maximum=100,
                example="1a2b3c4d",
            ),
        ),
        examples=("1a2b3c4d",),
    ),
    Command(
        name="link",
        help=_("Link your Discord and Slack identities: ask for a code there, type it here."),
        options=(
            Option(
                name="code",
                kind="text",
                help=_("The code that /link showed you on the other platform."),
                maximum=40,
                default="you get a code to type on the other side",
            ),
            Option(
                name="leave",
                kind="boolean",
                help=_("Unlink this identity; its own account keeps what the shared one has used."),
                default="no",
            ),
        ),
        examples=("ABCDE-FGHJK", "--leave"),
    ),
    Command(
        name="privacy export",
        help=_("A copy of all your data: jobs, images, ledger, defaults."),
        options=(
            Option(
                name="part",
                kind="integer",
                help=_("Which part, where it is too large for one file."),
                minimum=1,
                maximum=10_000,
                example="2",
                default="1",
            ),
        ),
    ),
    Command(name="privacy delete", help=_("Delete your images, prompts and defaults. It asks you first.")),
    Command(
        name="help",
        help=_("The commands and their options."),
        options=(
            Option(name="command", kind="text", help=_("A command."), maximum=65, completes="commands"),
        ),
    ),
)
