"""What Discord shows of the commands in other languages than English.

Names of commands and options stay the same everywhere, so that people can tell each other what to type.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import discord
from discord import app_commands

from bot.i18n import Text
from bot.i18n.catalogs import SOURCE
from bot.i18n.speech import nearest, say


class Translator(app_commands.Translator):
    """Looks the texts up where everything that Easel says is."""

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        """Translate a text; return None if there is no translation, or if it is a name to type."""
        typed: Any = (
            app_commands.TranslationContextLocation.parameter_name,
            app_commands.TranslationContextLocation.command_name,
        )
        is_menu = isinstance(context.data, app_commands.ContextMenu)
        if context.location in typed and not is_menu:
            return None
        said = _said(string.message, nearest(str(locale)) or SOURCE)
        return None if said == string.message else said


@cache
def _said(message: str, language: str) -> str:
    """Return a text of the commands in a language; Discord's thirty languages are few of ours."""
    return say(Text(message), language)
