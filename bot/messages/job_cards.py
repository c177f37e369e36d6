"""The message of one job, from accepted to its result, with its buttons.

It is posted when the request is accepted, changes while the job waits and paints, and ends as the result.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from bot import actions, papers
from bot.actions import ACTIONS, Action, ActionSpec, Kind
from bot.errors import Refusal
from bot.formats import about, in_queue, sized
from bot.i18n import _, join, speech
from bot.images.file_formats import label
from bot.messages.types import ANYTHING, Bar, Button, Buttons, Card, CardPicture, May
from bot.models import Job
from bot.prompts import packs, styles
from bot.prompts.backgrounds import background_label
from bot.prompts.draft import shown_seed
from engine import lettering
from engine.types import TRANSPARENT, CreativeUpscale, Loading, Progress, QueuePosition

# --- buttons ----------------------------------------------------------------------------------------------

MOST_IN_A_ROW = 5
MOST_LETTERED = 4  # pictures that have buttons each; of more, each has its number


def button(action: actions.Name, job: str = "", index: int | None = None, **more: Any) -> Button:
    """Return the button of an action. `more` is what is not as declared."""
    return _button(actions.SPECS[action], job, index, **more)


def _button(spec: ActionSpec, job: str, index: int | None = None, **more: Any) -> Button:
    number = 0 if index is None else index + 1
    words: dict[str, Any] = {
        "id": Action(name=spec.name, job=job, index=index).id,
        "label": spec.label.format(n=number),
        "name": spec.spoken.format(n=number),
        "icon": spec.icon,
        "style": spec.style,
    }
    return Button(**(words | more))


def _of_picture(spec: ActionSpec, job: Job, index: int, *, alone: bool) -> Button:
    made = _button(spec, job.id, index)
    return replace(made, label=spec.alone) if alone else made


def _of_job(spec: ActionSpec, job: Job, kind: Kind) -> Button:
    made = _button(spec, job.id)
    return replace(made, label=spec.retry) if kind == "failed" and spec.retry else made


def of_whole(buttons: Iterable[Button]) -> Buttons:
    """Return those that are about a whole job, not one of its pictures."""
    return tuple(each for each in buttons if actions.parse(each.id).spec.about == "job")


def _specs(job: Job, kind: Kind, may: May) -> list[ActionSpec]:
    return [each for each in ACTIONS if kind in each.on and each.answers != "place" and may.do(each, job)]


def _offered(job: Job, kind: Kind, may: May) -> dict[str, Any]:
    """Return the rows of buttons and what is behind ⋯, as fields of a card.

    Five rows of five are the most that a message may have: 16 numbers take four of them, and a press on one
    shows that picture alone with its own buttons.
    """
    specs = _specs(job, kind, may)
    indexes = [each.index for each in job.singles]
    shown = [each for each in specs if not each.overflow]
    whole = tuple(_of_job(each, job, kind) for each in shown if each.about == "job")
    rows = (*_strips(shown, job, indexes), whole)
    if len(indexes) == 1:
        rows = (tuple(each for row in rows for each in row),)
    behind = [each for each in specs if each.overflow]
    apart = [each for each in behind if each.of_one and len(indexes) > 1]
    beside = [each for each in behind if each not in apart]
    more = [each for row in _lettered(beside, job, indexes) for each in row]
    if apart and len(indexes) <= MOST_LETTERED:
        more += [_one(job, index) for index in indexes]
    more += [_of_job(each, job, kind) for each in behind if each.about == "job"]
    return {"rows": tuple(row for row in rows if row), "more": tuple(more)}


def _strips(specs: Sequence[ActionSpec], job: Job, indexes: Sequence[int]) -> tuple[Buttons, ...]:
    if len(indexes) <= MOST_LETTERED:
        return _lettered(specs, job, indexes)
    return rows_of([button("pick", job.id, index=index) for index in indexes])


def _one(job: Job, index: int) -> Button:
    """Return the button to the card of one of several pictures."""
    return button("pick", job.id, index=index, label=_("Image {n} …", n=index + 1))


def _lettered(specs: Sequence[ActionSpec], job: Job, indexes: Sequence[int]) -> tuple[Buttons, ...]:
    """Return a row for each action on a picture, with a button per picture; empty rows for many pictures."""
    few = indexes if len(indexes) <= MOST_LETTERED else ()
    alone = len(indexes) == 1
    return tuple(
        tuple(_of_picture(each, job, index, alone=alone) for index in few)
        for each in specs
        if each.about == "picture"
    )


def rows_of(buttons: Sequence[Button]) -> tuple[Buttons, ...]:
    starts = range(0, len(buttons), MOST_IN_A_ROW)
    return tuple(tuple(buttons[start : start + MOST_IN_A_ROW]) for start in starts)


def rows_with_more(card: Card) -> tuple[Buttons, ...]:
    """Return the rows with ⋯ as a button, for messages that have no menus; a press on it answers `more`."""
    if not card.more:
        return card.rows
    *rows, last = card.rows or ((),)
    dots = button("more", card.job)
    return (*rows, *((*last, dots),)) if len(last) < MOST_IN_A_ROW else (*rows, last, (dots,))


# --- the life of a job ------------------------------------------------------------------------------------


def card_of(job: Job, kind: Kind, **more: Any) -> Card:
    return Card(
        kind=kind,
        title=more.pop("title", job.prompt),
        adult=more.pop("adult", any(each.adult for each in job.pictures)),
        job=job.id,
        parent=job.parent or "",
        private=job.origin.private,
        facts=(*_in_series(job), *more.pop("facts", ())),
        body=more.pop("body", (job.note,) if job.note and kind in _NOTED else ()),
        **more,
    )


def _in_series(job: Job) -> Iterator[str]:
    if series := job.series:
        yield _("{number} of {count}", number=series.number, count=series.count)


_NOTED: tuple[Kind, ...] = ("waiting", "painting", "done")


def waiting(
    job: Job,
    position: QueuePosition | None = None,
    may: May = ANYTHING,
    *,
    held: bool = False,
    loading: Loading | None = None,
    control: bytes = b"",
) -> Card:
    """Build the card of a job in the queue or on hold. What it costs is for its person: `/quota` tells.

    `control`: what guides it, as WebP.
    """
    stand = _("on hold") if held else in_queue(position) if position else _("in queue")
    speed = (_("relaxed (free)"),) if job.relaxed else ()
    coming = (coming_model(loading),) if loading else ()
    best = job.request.best
    chosen = (_("best of {count}, for the cost of {count}", count=best),) if best > 1 else ()
    facts = (_("for @{name}", name=job.origin.member.name), stand, *speed, *chosen, *coming)
    pictures = _control(job, control)
    return card_of(job, "waiting", facts=facts, pictures=pictures, **_offered(job, "waiting", may))


def painting(
    job: Job,
    progress: Progress | None = None,
    left: float | None = None,
    may: May = ANYTHING,
    loading: Loading | None = None,
    *,
    control: bytes = b"",
) -> Card:
    """Build a running job's card. `left`: expected seconds to the end; previews stay until the next.

    `loading`: its model, while the job waits for that. `control` guides it, as WebP.
    """
    done = progress.step / max(1, progress.steps) if progress else 0.0
    finishing = done >= 1  # what is left takes seconds, and nobody knows how many
    label = coming_model(loading) if loading else _("starting")
    if progress:
        label = _("{step} of {steps} steps", step=progress.step, steps=progress.steps)
    preview = progress.preview if progress and progress.preview else b""
    size = (job.request.width, job.request.height)
    return card_of(
        job,
        "painting",
        facts=() if left is None or finishing else (about(left),),
        bar=Bar(done=min(1.0, done), label=_("checking and saving") if finishing else label),
        pictures=(_preview(job, preview, size),) if preview else _control(job, control),
        **({} if finishing else _offered(job, "painting", may)),
    )


def coming_model(loading: Loading) -> str:
    """Return what is known of a model that is being downloaded or loaded."""
    if not loading.fetched:
        return _("loading {model}", model=loading.model)
    here = f"{loading.fetched / 1e9:.1f}"
    if not loading.total:
        return _("downloading {model}: {here} GB so far", model=loading.model, here=here)
    total = f"{loading.total / 1e9:.1f}"
    return _("downloading {model}: {here} of {total} GB", model=loading.model, here=here, total=total)


def _preview(job: Job, preview: bytes, size: tuple[int, int]) -> CardPicture:
    return CardPicture(
        alt=_("{prompt}, not finished", prompt=job.prompt), width=size[0], height=size[1], preview=preview
    )


def _control(job: Job, control: bytes) -> tuple[CardPicture, ...]:
    """Return the control picture that guides a job, until there is a preview."""
    if not control:
        return ()
    width, height = job.request.width, job.request.height
    return (CardPicture(alt=_("What guides the image"), width=width, height=height, preview=control),)


def controlling(job: Job) -> tuple[CardPicture, ...]:
    """Return the stored control picture of a job, if there is one."""
    guide, size = job.request.control, (job.request.width, job.request.height)
    if guide is None:
        return ()
    return (CardPicture(alt=_("What guides the image"), width=size[0], height=size[1], blob=guide.picture),)


def done(job: Job, may: May = ANYTHING) -> Card:
    """Build the result's card: the grid and the single pictures, with buttons for what can be done next."""
    if result(job) == "upscaled":
        return upscaled(job, may)
    return card_of(job, "done", facts=_facts(job), pictures=pictures_of(job), **_offered(job, "done", may))


def _facts(job: Job) -> tuple[str, ...]:
    known = styles.load()
    facts = (
        _cut_out(job),
        known.label(job.style),
        known.shape(job.request.width, job.request.height),
        _("seed {seed}", seed=shown_seed(job)),
        _("best of {count}", count=job.request.best) if job.request.best > 1 else "",
        job.request.model,
        _("draft") if job.request.draft else "",
        packs.label(job.request.pack) if job.request.pack else "",
        _downloads(job),
    )
    return tuple(fact for fact in facts if fact)


def _downloads(job: Job) -> str:
    """Return in which format Download gives the images, where that is not the one that is shown."""
    request = job.request
    if request.file_format in ("", "png") or request.pack or request.paper:
        return ""
    return _("Download gives {format}", format=label(request.file_format))


def _cut_out(job: Job) -> str:
    """Return what lies behind what was cut out, where that was asked for."""
    behind = job.request.background
    return _("background: {background}", background=background_label(behind)) if behind else ""


def alt_text(job: Job, index: int) -> str:
    """Return what somebody who cannot see a picture is told of it; −1 is the grid."""
    written = [each.alt for each in job.singles if each.alt and index in (each.index, -1)]
    return " · ".join(written) or _suggested_alt(job, index)


def _suggested_alt(job: Job, index: int) -> str:
    words = job.request.lettering.replace(lettering.SEPARATOR, "/")
    if size := job.request.size_at(index):
        shown = packs.shown(size)
        if words:
            return _("{prompt}, with the words “{words}”, {size}", prompt=job.prompt, words=words, size=shown)
        return _("{prompt}, {size}", prompt=job.prompt, size=shown)
    if index >= 0 and len(job.singles) > 1:
        if words:
            return _(
                "{prompt}, with the words “{words}”, image {number}",
                prompt=job.prompt,
                words=words,
                number=index + 1,
            )
        return _("{prompt}, image {number}", prompt=job.prompt, number=index + 1)
    return _("{prompt}, with the words “{words}”", prompt=job.prompt, words=words) if words else job.prompt


def pictures_of(job: Job) -> tuple[CardPicture, ...]:
    """Return the stored pictures, the grid (index −1) first."""
    return tuple(
        CardPicture(
            alt=alt_text(job, each.index),
            width=each.width,
            height=each.height,
            blob=each.blob,
            name=file_name(job, each.index),
            transparent=job.request.background == TRANSPARENT,
            size=job.request.size_at(each.index),
        )
        for each in sorted(job.pictures, key=lambda each: each.index)
    )


_ARTICLE = re.compile(r"(?:an?|the|eine?[nmrs]?|de[rnms]|die|das) (?=\S)", re.IGNORECASE)
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
MAX_SLUG = 40  # characters of a prompt in a file's name


def file_name(job: Job, index: int) -> str:
    """Return a name for a picture's file, without its ending: "red-fox-in-snow_7_2"; a grid has no number."""
    words = _ARTICLE.sub("", job.prompt[:200], count=1) if _ARTICLE.match(job.prompt) else job.prompt[:200]
    plain = unicodedata.normalize("NFKD", words.casefold().translate(_SPELLED)).encode("ascii", "ignore")
    slug = "-".join(re.findall(r"[a-z0-9]+", plain.decode()))
    if len(slug) > MAX_SLUG:
        slug = slug[: MAX_SLUG + 1].rpartition("-")[0] or slug[:MAX_SLUG]
    number = f"_{index + 1}" if index >= 0 else ""
    if size := job.request.size_at(index):
        return f"{slug or job.id}_{size.name}-{size.width}x{size.height}"
    return f"{slug or job.id}_{job.request.seed}{number}"


def upscaled(job: Job, may: May = ANYTHING) -> Card:
    """Build the card of an enlarged picture."""
    number = (job.parent_index or 0) + 1
    size, before = sized(job.request.width, job.request.height), job.request.before_upscale()
    factor = f"{job.request.width / max(1, before.width):.2g}"
    facts = [_("image {number}, {factor}× ({size})", number=number, factor=factor, size=size)]
    facts += [_("creative")] if isinstance(job.request.task, CreativeUpscale) else []
    facts += [_("from an earlier image")] if job.parent else []
    if job.request.paper:
        facts.append(_("for {paper}: Download gives the file", paper=papers.kept(job.request.paper)[0].label))
    facts += [_downloads(job)] if _downloads(job) else []
    offered = _offered(job, "upscaled", may)
    return card_of(job, "upscaled", facts=tuple(facts), pictures=pictures_of(job), **offered)


def result(job: Job) -> Kind:
    """Return the kind of a finished job's card: "upscaled" or "done"."""
    return "upscaled" if job.request.enlarges else "done"


def more(job: Job, may: May = ANYTHING) -> Card:
    """Build the private card with the further actions that the ⋯ button of a finished job opens."""
    rows = rows_of(_offered(job, result(job), may)["more"])
    return Card(kind="text", title=job.prompt, rows=rows, job=job.id, private=True)


def picked(job: Job, index: int, may: May = ANYTHING) -> Card:
    """Build the card of one picture of a large grid, with the buttons that the grid has no room for."""
    pictures = [each for each in job.pictures if each.index == index]
    shown = replace(job, pictures=tuple(pictures))
    specs = _specs(job, "done", may)
    buttons = tuple(_of_picture(each, job, index, alone=True) for each in specs if each.about == "picture")
    facts = (_("image {number}", number=index + 1), *(_("seed {seed}", seed=each.seed) for each in pictures))
    return card_of(job, "text", facts=facts, pictures=pictures_of(shown), rows=rows_of(buttons))


def which(job: Job, action: actions.Name) -> Card:
    """Build the card that asks which of a job's images an action is about."""
    rows = rows_of([button(action, job.id, each.index) for each in job.singles])
    return card_of(job, "text", facts=(_("Which image?"),), pictures=pictures_of(job), rows=rows)


def extending(job: Job, index: int) -> Card:
    """Build the card of one image with the ways to extend it."""
    pictures = tuple(each for each in job.pictures if each.index == index)
    square = len({(each.width, each.height) for each in pictures if each.width == each.height}) == 1
    zooms = ("zoom_15", "zoom_2", *(() if square else ("square",)))
    rows = [[button(name, job.id, index) for name in names] for names in (zooms, _PANS)]
    return card_of(
        job,
        "text",
        facts=(_("image {number}", number=index + 1),),
        pictures=pictures_of(replace(job, pictures=pictures)),
        rows=tuple(map(tuple, rows)),
    )


_PANS = ("pan_left", "pan_right", "pan_up", "pan_down")


def refused(refusal: Refusal) -> Card:
    """Build a refusal's card. An offer is a button where its text fits into one, else a line to copy."""
    ids = {offer: offer.button or Action(name="try", text=offer.text).id for offer in refusal.offers}
    buttons = tuple(
        Button(id=id, label=offer.label, name=offer.label, style="primary")
        for offer, id in ids.items()
        if actions.fits(id)
    )
    long = [offer.text for offer, id in ids.items() if not actions.fits(id)]
    return Card(
        kind="refused",
        body=(refusal.notice, *long),
        rows=(buttons,) if buttons else (),
        private=True,
    )


def failed(job: Job, may: May = ANYTHING) -> Card:
    reason = join(" ", (job.reason, _("Nothing was charged.")))
    return card_of(job, "failed", body=(reason,), **_offered(job, "failed", may))


def cancelled(job: Job, may: May = ANYTHING) -> Card:
    why = (job.reason,) if job.reason else ()
    facts = (_("cancelled, nothing charged"),)
    return card_of(job, "cancelled", facts=facts, body=why, **_offered(job, "cancelled", may))


def withheld(card: Card) -> Card:
    """Replace a card's text and pictures by the notice that only age-restricted channels show them."""
    line = _("These images are shown only in age-restricted channels, and this channel is not one.")
    rows = tuple(row for row in map(of_whole, card.rows) if row)
    bare = replace(card, title="", facts=(), body=(line,), pictures=(), files=(), adult=False)
    return replace(bare, rows=rows, more=of_whole(card.more))


def moved(card: Card) -> Card:
    """Build what is left of a status message that cannot go away, once a newer message shows the card."""
    if card.kind == "deleted":
        return card
    line = Card(kind="text", body=(_("The result is in a newer message."),))
    return replace(speech.translated(line, card.language), title=card.title, private=card.private)


def deleted(job: Job) -> Card:
    """Build the card of a deleted job, which says nothing of what it was."""
    return Card(
        kind="deleted", body=(_("These images were deleted."),), job=job.id, private=job.origin.private
    )
