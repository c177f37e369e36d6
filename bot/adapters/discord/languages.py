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
    "Cancel": "Abbrechen",
    "Hold": "Anhalten",
    "Release": "Weiterlaufen lassen",
    "Relax": "Hinter die anderen",
    "Relaxed": "Locker",
    "Standard": "Normal",
    "Strict": "Streng",
    "Allow": "Erlauben",
    "Refuse": "Ablehnen",
    "Clear": "Vergessen",
    "Keep": "Behalten",
    "Remove": "Entfernen",
    "Hour": "Stunde",
    "Day": "Tag",
    "Week": "Woche",
    "Month": "Monat",
    "En": "Englisch",
    "De": "Deutsch",
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
    "Use one account here and on another side: ask for a code there, type it here.": (
        "Ein Konto hier und auf einer anderen Seite: dort einen Code holen, hier eingeben."
    ),
    # privacy
    "Your own data.": "Deine eigenen Daten.",
    "A copy of all your data: jobs, pictures, ledger, defaults.": (
        "Eine Kopie all deiner Daten: Aufträge, Bilder, Kontobuch, Vorgaben."
    ),
    "Delete your pictures, prompts and defaults. It asks you first.": (
        "Löscht deine Bilder, Beschreibungen und Vorgaben. Es fragt vorher."
    ),
    # administration
    "For those who manage this server: people, tiers, budgets, rules.": (
        "Für die Verwaltung dieses Servers: Personen, Stufen, Budgets, Regeln."
    ),
    "Why is it slow: who waits how long, the device's pace, what is paused.": (
        "Warum es langsam ist: wer wie lange wartet, wie schnell das Gerät ist, was angehalten ist."
    ),
    "Cancel a job, hold it in line, let it go on, or move it behind the others.": (
        "Bricht einen Auftrag ab, hält ihn an, lässt ihn weiterlaufen oder stellt ihn hinter die anderen."
    ),
    "A person's tier, allowances, last jobs, and whether they are blocked.": (
        "Stufe, Kontingente und letzte Aufträge einer Person, und ob sie gesperrt ist."
    ),
    "Give a person a tier of their own here, whatever their roles.": (
        "Gibt einer Person hier eine eigene Stufe, gleich welche Rollen sie hat."
    ),
    "Give a person an allowance of their own, everywhere, in place of their tier's.": (
        "Gibt einer Person überall ein eigenes Kontingent anstelle des Kontingents ihrer Stufe."
    ),
    "Give a person device-seconds that last until they are used.": (
        "Schenkt einer Person Gerätesekunden, die gelten, bis sie verbraucht sind."
    ),
    "Empty a person's used allowances, so that their periods begin anew.": (
        "Setzt die Kontingente einer Person zurück, so dass sie neu beginnen."
    ),
    "Refuse a person's requests and presses here.": "Sperrt eine Person hier.",
    "Let a blocked person ask again.": "Hebt die Sperre einer Person auf.",
    "Start nothing more and take nothing new; what waits stays in line.": (
        "Beginnt nichts und nimmt nichts an; was wartet, bleibt in der Reihe."
    ),
    "Take nothing new; what was accepted is painted.": "Nimmt nichts an; Angenommenes wird noch gemalt.",
    "Go on after a pause or a drain.": "Macht nach einer Unterbrechung weiter.",
    "The tiers, what they allow, and which roles have them.": (
        "Die Stufen, was sie erlauben und welche Rollen sie haben."
    ),
    "Give everybody with a role or in a user group a tier.": "Gibt allen mit einer Rolle eine Stufe.",
    "Device-seconds that all people of a channel, or of this place, may use together.": (
        "Gerätesekunden, die alle in einem Kanal oder hier zusammen verbrauchen dürfen."
    ),
    "In which channels Easel paints. Without options it shows them.": (
        "In welchen Kanälen Easel malt. Ohne Optionen zeigt es sie."
    ),
    "Which models may be asked for here. Without options it shows them.": (
        "Welche Modelle hier erlaubt sind. Ohne Optionen zeigt es sie."
    ),
    "Which styles may be asked for here. Without options it shows them.": (
        "Welche Stile hier erlaubt sind. Ohne Optionen zeigt es sie."
    ),
    "Defaults of everybody here who has none of their own. Without options it shows them.": (
        "Vorgaben für alle hier, die keine eigenen haben. Ohne Optionen zeigt es sie."
    ),
    "In which language Easel answers here. Without options it shows it.": (
        "In welcher Sprache Easel hier antwortet. Ohne Optionen zeigt es sie."
    ),
    "How strictly words and pictures are checked here. Without options it shows it.": (
        "Wie streng Worte und Bilder hier geprüft werden. Ohne Optionen zeigt es das."
    ),
    "Keep or remove pictures that were reported.": "Gemeldete Bilder behalten oder entfernen.",
    "Reported pictures that wait for a decision, the oldest first.": (
        "Gemeldete Bilder, die auf eine Entscheidung warten, die ältesten zuerst."
    ),
    "Who changed what, newest first.": "Wer was geändert hat, das Neueste zuerst.",
    "The ledger as a CSV file.": "Das Kontobuch als CSV-Datei.",
    # options
    "Free, and painted only while nobody else wants the device.": (
        "Kostenlos, und gemalt nur, während niemand sonst das Gerät will."
    ),
    "The code that /link showed you on the other side.": "Der Code, den /link auf der anderen Seite zeigte.",
    "Leave the account that you share, with an own one that has used as much.": (
        "Das geteilte Konto verlassen, mit einem eigenen, das ebenso viel verbraucht hat."
    ),
    "Whom: a mention, or an id such as discord:123.": "Wen.",
    "Which channel.": "Welchen Kanal.",
    "A tier's name; /admin tiers shows them. “none” takes it away.": (
        "Der Name einer Stufe; /admin tiers zeigt sie. „none“ nimmt sie weg."
    ),
    "Why; they are told.": "Warum; die Person erfährt es.",
    "Allow only those that are allowed, refuse it, or clear what was said about it.": (
        "Erlauben (dann nur Erlaubtes), ablehnen, oder vergessen, was galt."
    ),
    "What to do with it.": "Was mit ihm geschehen soll.",
    "How many device-seconds.": "Wie viele Gerätesekunden.",
    "How many device-seconds; 0 leaves it to their tier again.": (
        "Wie viele Gerätesekunden; mit 0 gilt wieder die Stufe."
    ),
    "How many device-seconds; 0 takes the budget away.": "Wie viele Gerätesekunden; 0 hebt das Budget auf.",
    "In which period.": "In welchem Zeitraum.",
    "For how long.": "Wie lange, in Stunden.",
    "The role or user group; “everyone” for all without one.": "Die Rolle; @everyone für alle ohne eine.",
    "English or German.": "Englisch oder Deutsch.",
    "Within the bounds that this Easel keeps everywhere.": "In den Grenzen, die dieses Easel überall hält.",
    "A word or phrase to refuse here.": "Ein Wort oder Ausdruck, der hier abgelehnt wird.",
    "A word or phrase to allow here.": "Ein Wort oder Ausdruck, der hier erlaubt ist.",
    "Forget a word or phrase of either list.": "Ein Wort oder Ausdruck, der aus den Listen verschwindet.",
    "Words of the line.": "Worte der Zeile.",
    "Removing counts as a strike for whoever asked for them.": "Entfernen zählt als Verwarnung.",
    "Which part, where it is too large for one file.": "Welcher Teil, falls eine Datei nicht reicht.",
    "How many days back.": "Wie viele Tage zurück.",
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
