"""Administrators and their place: channels, models, LoRAs, styles, defaults, language, moderation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bot import prompts
from bot.accounts.tiers import Tiers
from bot.admin.asked import MOST_TERMS, AdminRequest, Commands, Policies, done, titled, who
from bot.admin.log_channel import LogChannel
from bot.errors import Refusal
from bot.i18n import _, join
from bot.i18n.catalogs import LANGUAGES
from bot.messages import answers, marks
from bot.messages.types import Card
from bot.models import Filter, Policy
from bot.options import CHOICES, Unusable, unknown
from bot.prompts import styles
from engine.types import Engine

OWN = "own"  # the language that each person has set on their side


@dataclass(eq=False)
class PlaceCommands:
    """Shows what a place allows, or changes it."""

    _engine: Engine
    _tiers: Tiers
    _policies: Policies
    _log: LogChannel

    @property
    def commands(self) -> Commands:
        return {
            "admin set channel": self._channel,
            "admin set models": self._models,
            "admin set loras": self._loras,
            "admin set styles": self._styles,
            "admin set defaults": self._defaults,
            "admin set language": self._language,
            "admin set moderation": self._moderation,
            "admin licence": self._licence,
            "admin log": self._log_channel,
            "admin spoiler": self._spoiler,
        }

    async def _channel(self, asked: AdminRequest) -> Card:
        channel = asked.options.get("channel", "") or asked.origin.channel
        words = asked.options.get("words", "")
        if words and not channel:
            raise Refusal(_("Say for which channel."), code="missing")
        if words:
            await self._policies.change(asked, lambda before: _with_words(before, channel, words), channel)
        shown = await self._rule(asked, "channels", channel if "rule" in asked.options else "", {})
        said = (await self._policies.here(asked)).words
        lines = [
            _("Words in {channel}: {how}", channel=marks.channel(channel), how=CHOICES[each])
            for channel, each in said.items()
        ]
        return replace(shown, body=(*shown.body, *lines))

    async def _models(self, asked: AdminRequest) -> Card:
        known = {model.name.casefold(): model.name for model in self._engine.models()}
        return await self._rule(asked, "models", asked.options.get("model", ""), known)

    async def _loras(self, asked: AdminRequest) -> Card:
        names = dict.fromkeys(lora.name for model in self._engine.models() for lora in model.loras)
        lora = asked.options.get("lora", "").casefold()
        return await self._rule(asked, "loras", lora, {each: each for each in names})

    async def _styles(self, asked: AdminRequest) -> Card:
        style = asked.options.get("style", "")
        if style and asked.options.get("rule") != "clear":
            try:
                style = prompts.read_style(style)
            except Unusable as error:
                raise Refusal(error.notice) from error
        return await self._rule(asked, "styles", style, {each: each for each in styles.load().styles})

    async def _rule(self, asked: AdminRequest, what: str, name: str, known: dict[str, str]) -> Card:
        """Show a filter of the place, or change its rule for one name; `known` are the names there are."""
        if not name:
            return _filter(what, getattr(await self._policies.here(asked), what))
        rule = asked.options.get("rule")
        if rule is None:
            raise Refusal(_("Say what to do with it: rule can be allow, refuse or clear."), code="missing")
        if what != "channels" and rule != "clear" and name.casefold() not in known:
            raise Refusal(unknown(_UNKNOWN[what], name, known.values()), code="unknown")
        name = known.get(name.casefold(), name)

        def change(before: Policy) -> Policy:
            after: Filter = getattr(before, what).ruled(name, rule)
            if what in _NONE_LEFT and known and not any(map(after.takes, known.values())):
                raise Refusal(_NONE_LEFT[what])
            changes: dict[str, Any] = {what: after}
            return replace(before, **changes)

        after = await self._policies.change(asked, change, name)
        return _filter(what, getattr(after, what))

    async def _defaults(self, asked: AdminRequest) -> Card:
        most = max(tier.max_count for tier in self._tiers.all)
        models = self._engine.models()

        def change(before: Policy) -> Policy:
            said = dict(asked.options)
            label = said.pop("label", before.label)  # a duty, not a taste: a reset leaves it
            return replace(before, label=label, defaults=prompts.changed(before.defaults, said, models, most))

        after = await (self._policies.change(asked, change) if asked.options else self._policies.here(asked))
        label = _("Label “AI” on images: {answer}", answer=answers.YES if after.label else answers.NO)
        return titled(_("Defaults here"), (*answers.defaults(after.defaults), label))

    async def _language(self, asked: AdminRequest) -> Card:
        if language := asked.options.get("language"):
            chosen = "" if language == OWN else language
            after = await self._policies.change(asked, lambda before: replace(before, language=chosen))
        else:
            after = await self._policies.here(asked)
        if after.language not in LANGUAGES:
            return done(_("Easel answers here in the language of each person."))
        return done(_("Easel answers here in {language}.", language=LANGUAGES[after.language]))

    async def _licence(self, asked: AdminRequest) -> Card:
        """Show or change whether the place is commercial, and what may be used because of it."""
        if use := asked.options.get("use"):
            commercial = use == "commercial"
            after = await self._policies.change(asked, lambda before: replace(before, commercial=commercial))
        else:
            after = await self._policies.here(asked)
        if not after.commercial:
            return done(_("This place is not marked commercial: models of every licence may be used."))
        left_out = [each.name for each in self._engine.models() if each.terms == "non-commercial"]
        lines = [_("This place is marked commercial: models whose licence forbids it are not used.")]
        lines += [_("Not used: {names}", names=", ".join(left_out))] if left_out else []
        return titled(_("Licences here"), lines)

    async def _log_channel(self, asked: AdminRequest) -> Card:
        off, channel = asked.options.get("off", False), asked.options.get("channel", "")
        found = await self._policies.here(asked)
        if off or channel:
            chosen = "" if off else channel
            self._log.mended(asked.tenant)
            found = await self._policies.change(asked, lambda before: replace(before, log=chosen), channel)
        if not found.log:
            return done(_("There is no log channel. /admin log with a channel sets one."))
        return done(
            _(
                "{channel} tells of reports, blocks, failures and changes here.",
                channel=marks.channel(found.log),
            )
        )

    async def _spoiler(self, asked: AdminRequest) -> Card:
        """Show or change where, and for which roles, pictures are covered."""
        if asked.tenant.startswith("slack:"):
            raise Refusal(_("Slack has no spoilers: an image there is always shown."), code="spoiler")
        channel, role = asked.options.get("channel"), asked.options.get("role")
        removed = asked.options.get("rule") == "remove"

        def change(before: Policy) -> Policy:
            return replace(
                before,
                spoiler_channels=_listed(before.spoiler_channels, channel, removed=removed),
                spoiler_roles=_listed(before.spoiler_roles, role, removed=removed),
            )

        found = await (
            self._policies.change(asked, change, channel or role or "")
            if channel or role
            else self._policies.here(asked)
        )
        return titled(_("Spoilers here"), [covered(found)])

    async def _moderation(self, asked: AdminRequest) -> Card:
        said = asked.options
        found = await (
            self._policies.change(asked, lambda p: _moderated(p, said))
            if said
            else self._policies.here(asked)
        )
        lines = [
            _("Strictness: {strictness}", strictness=CHOICES[found.strictness]),
            _("Refused here: {names}", names=", ".join(found.refused_terms) or _("nothing of its own")),
            _("Allowed here: {names}", names=", ".join(found.allowed_terms) or _("nothing of its own")),
        ]
        return titled(_("Moderation"), lines)


_TITLES = {
    "channels": _("Channels here"),
    "models": _("Models here"),
    "loras": _("LoRAs here"),
    "styles": _("Styles here"),
}
_UNKNOWN = {
    "models": _("There is no model {name}."),
    "loras": _("There is no LoRA {name}."),
    "styles": _("There is no style {name}."),
}
_NONE_LEFT = {
    "channels": _("Then no channel would be left. Allow another one first."),
    "models": _("Then no model would be left. Allow another one first."),
    "styles": _("Then no style would be left. Allow another one first."),
}


def _filter(what: str, found: Filter) -> Card:
    allowed, refused = (_names(what, names) for names in (found.allowed, found.refused))
    lines = [_("Allowed: {names} only", names=allowed) if allowed else _("Allowed: all")]
    lines += [_("Refused: {names}", names=refused)] if refused else []
    return titled(_TITLES[what], lines)


def _listed(names: tuple[str, ...], name: str | None, *, removed: bool) -> tuple[str, ...]:
    others = tuple(each for each in names if each != name)
    return others if removed or not name else (*others, name)


def covered(policy: Policy) -> str:
    """Return a line that tells where pictures are covered."""
    names = [*map(marks.channel, policy.spoiler_channels), *map(who, policy.spoiler_roles)]
    if not names:
        return _("Images are shown at once. /admin spoiler covers them in a channel, or for a role.")
    return _("Images are covered in, or for: {names}", names=join(", ", names))


def _names(what: str, names: tuple[str, ...]) -> str:
    return join(", ", map(marks.channel, names) if what == "channels" else names)


def _with_words(before: Policy, channel: str, words: str) -> Policy:
    others = {key: each for key, each in before.words.items() if key != channel}
    return replace(before, words=others if words == "paint" else {**others, channel: words})


def _moderated(before: Policy, said: dict[str, Any]) -> Policy:
    refused, allowed = list(before.refused_terms), list(before.allowed_terms)
    for name in ("refuse", "allow", "clear"):
        if term := prompts.clean(said.get(name, "")).casefold():
            refused = [each for each in refused if each != term] + [term] * (name == "refuse")
            allowed = [each for each in allowed if each != term] + [term] * (name == "allow")
    if max(len(refused), len(allowed)) > MOST_TERMS:
        raise Refusal(_("A list has at most {most} words or phrases. Clear one first.", most=MOST_TERMS))
    return replace(
        before,
        strictness=said.get("strictness", before.strictness),
        refused_terms=tuple(refused),
        allowed_terms=tuple(allowed),
    )
