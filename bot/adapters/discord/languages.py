"""What Discord shows of the commands in other languages than English.

Names of commands stay the same everywhere, so that people can tell each other what to type. A text that has
no translation is shown in English.
"""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

GERMAN = {
    # menu
    "Use as source": "Als Vorlage nehmen",
    "Variations": "Variationen",
    "Upscale": "Vergrößern",
    "Info": "Info",
    # choices
    "Subtle": "Leicht",
    "Strong": "Stark",
    # commands
    "Paint pictures from words.": "Malt Bilder nach Worten.",
    "Paint a picture anew after your words.": "Malt ein Bild nach deinen Worten neu.",
    "Enlarge one picture of a job ×4 by super-resolution.": "Vergrößert ein Bild auf das Vierfache.",
    "Paint variations of one picture of a job.": "Malt Variationen eines Bildes.",
    "Who waits, who paints, and whose turn is next.": "Wer wartet, wer malt und wer als Nächstes dran ist.",
    "Stop one of your jobs: the newest that waits or paints, or the one you name.": (
        "Bricht einen deiner Aufträge ab: den neuesten oder den genannten."
    ),
    "Pictures painted here, newest first.": "Hier gemalte Bilder, die neuesten zuerst.",
    "Show a job again.": "Zeigt einen Auftrag noch einmal.",
    "What you have used of your allowance, and when it resets.": (
        "Was du von deinem Kontingent verbraucht hast und wann es sich erneuert."
    ),
    "The named styles.": "Die Stile mit Namen.",
    "Your defaults: style, model, count, shape, privacy. Without options it shows them.": (
        "Deine Vorgaben: Stil, Modell, Anzahl, Format, privat. Ohne Optionen zeigt es sie."
    ),
    "What can be asked for, and how.": "Was man verlangen kann, und wie.",
    # options
    "What to paint, in your own words. Flags such as --ar 16:9 may follow.": (
        "Was gemalt werden soll, in eigenen Worten. Schalter wie --ar 16:9 dürfen folgen."
    ),
    "What to keep out of the picture.": "Was nicht im Bild sein soll.",
    "The shape: square, portrait, landscape, wide, tall, or a ratio such as 16:9.": (
        "Das Format: square, portrait, landscape, wide, tall oder ein Verhältnis wie 16:9."
    ),
    "Width × height in pixels, instead of an aspect ratio.": "Breite × Höhe in Pixeln statt eines Formats.",
    "How many pictures.": "Wie viele Bilder.",
    "A number that makes the same picture again.": "Eine Zahl, mit der dasselbe Bild wieder entsteht.",
    "Denoising steps: more take longer and show finer detail.": (
        "Entrauschungsschritte: mehr dauern länger und zeigen feinere Einzelheiten."
    ),
    "Guidance scale: how closely to follow the prompt.": "Guidance: wie genau den Worten gefolgt wird.",
    "A named look; /styles shows them all.": "Ein Stil mit Namen; /styles zeigt sie alle.",
    "The model that paints.": "Das Modell, das malt.",
    "A picture to start from: a file, or a job's picture as in 1a2b3c4d5e6f:2.": "Ein Bild als Vorlage.",
    "The picture to start from.": "Das Bild, das als Vorlage dient.",
    "How far to leave the source picture: 0 changes almost nothing, 1 ignores it.": (
        "Wie weit von der Vorlage weg: 0 ändert fast nichts, 1 übergeht sie."
    ),
    "Only you see it.": "Nur du siehst es.",
    "The job's id, as its info shows it.": "Die Kennung des Auftrags, wie seine Info sie zeigt.",
    "Which of its pictures, from 1.": "Welches seiner Bilder, ab 1.",
    "Subtle keeps the composition; strong keeps little more than the idea.": (
        "Leicht behält den Aufbau; stark behält kaum mehr als die Idee."
    ),
    "Words of the prompt.": "Worte der Beschreibung.",
    "Not only your own.": "Nicht nur deine eigenen.",
    "Go back to the studio's own defaults.": "Zurück zu den Vorgaben des Studios.",
    "One command.": "Ein Befehl.",
}

LANGUAGES = {discord.Locale.german: GERMAN}


class Translator(app_commands.Translator):
    """Looks the texts up in `LANGUAGES`."""

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        """None where there is no translation, or the name is one to type."""
        typed: Any = (
            app_commands.TranslationContextLocation.parameter_name,
            app_commands.TranslationContextLocation.command_name,
        )
        is_menu = isinstance(context.data, app_commands.ContextMenu)
        if context.location in typed and not is_menu:
            return None
        return LANGUAGES.get(locale, {}).get(string.message)
