"""The command line: `python -m bot run | imagine | quota | admin | slack | doctor | verify | backup | …`."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import commands
from bot.errors import EaselError
from bot.models import INSTANCE
from bot.options import Option

if TYPE_CHECKING:
    from bot.surfaces import Settings

# The rest is imported where it is used: a worker process imports this module again, and needs none of it.

DESCRIPTION = "Easel paints what people describe, for everyone on one GPU in a fair turn."
EXAMPLES = """examples:
  python -m bot run
  python -m bot imagine "a red heart" --seed 7 --count 1 --out pictures
  python -m bot imagine "a sunflower" --style "3d render" --count 2 --json
  python -m bot doctor

Settings come from .env or the environment; .env.example lists them all.
MODEL=memory paints plain shapes without torch or a model: enough to try everything else.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0 is success, 1 a refusal or a failed job, 2 a mistake in the set-up."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # some terminals cannot show what people write, nor bars
    said = parser().parse_args(arguments)
    os.umask(0o077)  # whatever this process makes is its user's alone
    try:
        return asyncio.run(_run(said))
    except EaselError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """Reads an administrator's command by all of its words, and by those that it had before."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super().parse_args(_grouped(sys.argv[1:] if args is None else args), namespace)


def _grouped(words: Sequence[str]) -> Sequence[str]:
    """Return the arguments with an administrator's command as one word, such as "person gift"."""
    name = commands.beginning(words) if words[:1] == ["admin"] else ""
    if not name:
        return words
    known = commands.command(name)
    verb = (known.name if known.admin else name).removeprefix("admin ")
    return ["admin", verb, *words[len(name.split()) :]]


async def _run(said: argparse.Namespace) -> int:
    from bot.surfaces import Settings

    match said.command:
        case "imagine":
            return await _imagine(said, Settings.load())
        case "quota":
            return await _quota(Settings.load())
        case "admin":
            return await _admin(said, Settings.load())
        case "slack":
            return _slack(said, Settings.load())
        case "doctor":
            return await _doctor(said, Settings.load())
        case "verify":
            return await _verify(said, Settings.load())
        case "backup":
            return await _backup(said, Settings.load())
        case "restore":
            return await _restore(said, Settings.load())
    from bot import app

    await app.run(Settings.load())
    return 0


async def _imagine(said: argparse.Namespace, settings: Settings) -> int:
    from bot.adapters import cli

    options = {option.name: getattr(said, option.name) for option in _options()}
    options["prompt"] = " ".join(said.prompt)
    return await cli.imagine(settings, options, out=said.out, as_json=said.json, yes=said.yes)


async def _quota(settings: Settings) -> int:
    from bot.adapters import cli

    return await cli.quota(settings)


async def _admin(said: argparse.Namespace, settings: Settings) -> int:
    from bot.adapters import cli

    asked = commands.command(f"admin {said.verb}")
    options = {option.name: getattr(said, option.name) for option in asked.options}
    return await cli.administer(settings, asked.name, options, tenant=said.tenant, out=said.out)


def _slack(said: argparse.Namespace, settings: Settings) -> int:
    if said.verb == "key":
        from cryptography.fernet import Fernet

        sys.stdout.write(f"{Fernet.generate_key().decode()}\n")
        return 0
    from bot.adapters.slack import manifest

    url = settings.slack_url if said.url is None else said.url
    sys.stdout.write(manifest.text(url.rstrip("/"), oauth=bool(settings.slack_client_id)))
    return 0


async def _doctor(said: argparse.Namespace, settings: Settings) -> int:
    from bot import doctor, findings

    if said.rebuild:
        await doctor.rebuild(settings)
    if said.retention:
        await doctor.confirm_clock(settings)
    found = await doctor.examine(settings, pictures=said.pictures)
    sys.stdout.write(f"{findings.render(found, said.json)}\n")
    return 0 if all(finding.ok is not False for finding in found) else 1


async def _verify(said: argparse.Namespace, settings: Settings) -> int:
    from bot.adapters import cli

    return await cli.verify(settings, said.files, as_json=said.json)


async def _backup(said: argparse.Namespace, settings: Settings) -> int:
    from bot import backup

    await asyncio.to_thread(backup.save, settings, said.file)
    return 0


async def _restore(said: argparse.Namespace, settings: Settings) -> int:
    from bot import backup

    await asyncio.to_thread(backup.restore, settings, said.file, database_only=said.database_only)
    return 0


def parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    top = _Parser(prog="python -m bot", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=plain)
    verbs = top.add_subparsers(dest="command", required=True, metavar="command")
    verbs.add_parser(
        "run",
        help="open the web studio, and Discord and Slack where tokens are set",
        description="Serve until Ctrl-C. Running jobs get 30 s to end; the others wait for the next start.",
    )
    _add_imagine(verbs)
    asked = commands.command("quota")
    verbs.add_parser("quota", help="what you have used, and when it resets", description=asked.help)
    _add_admin(verbs)
    _add_slack(verbs)
    doctor = verbs.add_parser(
        "doctor",
        help="check this machine and the settings, with a remedy for what is wrong",
        description="Check Python, the device, the model, the database, the disk, tokens and ports.",
    )
    doctor.add_argument("--json", action="store_true", help="say it as JSON")
    doctor.add_argument(
        "--pictures", action="store_true", help="read every picture too, whether it is there and whole"
    )
    doctor.add_argument(
        "--rebuild", action="store_true", help="compute every balance again, from the ledger alone, first"
    )
    doctor.add_argument(
        "--retention", action="store_true", help="say that the clock is right: old jobs may be deleted by it"
    )
    verify = verbs.add_parser(
        "verify",
        help="tell whether pictures were made by this Easel, and what became of them",
        description="Look at signature, invisible mark and likeness. Also while Easel runs.",
    )
    verify.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PNG, JPEG or WebP files")
    verify.add_argument("--json", action="store_true", help="say it as JSON")
    _add_backup(verbs)
    return top


def _add_backup(verbs: argparse._SubParsersAction[_Parser]) -> None:
    backup = verbs.add_parser(
        "backup",
        help="save database, pictures and keys into one file, also while Easel runs",
        description="Save all that Easel keeps as a tar archive. It holds keys: keep it to yourself.",
    )
    backup.add_argument("file", type=Path, metavar="FILE", help="the archive to write, as in easel.tar")
    restore = verbs.add_parser(
        "restore",
        help="put a backup in place, where nothing is yet",
        description="Put a backup into DATA_DIR and DATABASE_URL, SQLite or Postgres. Easel must be stopped.",
    )
    restore.add_argument("file", type=Path, metavar="FILE", help="an archive that `backup` wrote")
    restore.add_argument(
        "--database-only", action="store_true", help="leave pictures and keys as they are in DATA_DIR"
    )


def _add_imagine(verbs: argparse._SubParsersAction[_Parser]) -> None:
    asked = commands.command("imagine")
    verb = verbs.add_parser(
        "imagine",
        help="paint pictures from words",
        description=f"{asked.help} Through the same studio, queue and database as everybody else.",
        epilog="examples:\n" + "\n".join(f"  python -m bot imagine '{each}'" for each in asked.examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_argument("prompt", nargs="+", help="what to paint, in your own words; flags may stand in it")
    for option in _options():
        names = dict.fromkeys(f"--{name}" for name in (*option.flags, option.name))
        if option.kind == "boolean":
            verb.add_argument(*names, dest=option.name, action="store_true", default=None, help=_help(option))
        else:
            metavar, action = option.name.upper(), _Joined if option.several else "store"
            verb.add_argument(*names, dest=option.name, action=action, metavar=metavar, help=_help(option))
    verb.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where to write the PNG files (default: here)"
    )
    verb.add_argument("--json", action="store_true", help="say the job, its state, files and cost as JSON")
    verb.add_argument("--yes", action="store_true", help="start several jobs without asking")


class _Joined(argparse.Action):
    """Keeps all values of an option that is given several times."""

    def __call__(self, _parser: Any, given: argparse.Namespace, value: Any, _flag: str | None = None) -> None:
        """Add a value to those before."""
        before = getattr(given, self.dest)
        setattr(given, self.dest, value if before is None else f"{before}, {value}")


def _add_admin(verbs: argparse._SubParsersAction[_Parser]) -> None:
    admin = verbs.add_parser(
        "admin",
        help="administrate: people, tiers, budgets, what waits, what a place allows",
        description="What administrators do, in the Easel that runs on this data folder or in its absence.",
        epilog="examples:\n  python -m bot admin status\n  python -m bot admin person gift discord:123 600\n"
        "  python -m bot admin set models --model easel-tiny --rule refuse --tenant discord:456",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    named = admin.add_subparsers(dest="verb", required=True, metavar="command")
    further = (replace(commands.command(name), name=name) for name in commands.ALSO)
    for each in (*commands.group("admin"), *(each for each in further if each.name == "admin review")):
        verb = named.add_parser(
            each.name.removeprefix("admin "), help=each.help, description=each.help, allow_abbrev=False
        )
        verb.add_argument(
            "--tenant",
            default=INSTANCE,
            metavar="PLACE",
            help="the server or workspace, as in discord:456 (left out: all of them)",
        )
        verb.add_argument(
            "--out", type=Path, default=Path(), metavar="DIR", help="where to write a file (left out: here)"
        )
        for option in each.options:
            _add_option(verb, option)


def _add_slack(verbs: argparse._SubParsersAction[_Parser]) -> None:
    slack = verbs.add_parser("slack", help="print the Slack app's manifest, or a key for its tokens")
    named = slack.add_subparsers(dest="verb", required=True, metavar="command")
    manifest = named.add_parser("manifest", help="print the manifest (YAML) to create the Slack app from")
    manifest.add_argument("--url", help="the address for HTTP mode (left out: SLACK_URL; empty: Socket Mode)")
    named.add_parser("key", help="print a new key for SLACK_TOKEN_KEYS")


def _add_option(verb: argparse.ArgumentParser, option: Option) -> None:
    """Add an option to a subcommand: a required one as a positional argument, any other as a flag."""
    metavar, help = option.name.upper(), _help(option)
    if option.required:
        verb.add_argument(option.name, metavar=metavar, help=help)
    elif option.kind == "boolean":
        verb.add_argument(f"--{option.name}", nargs="?", const="yes", metavar="yes|no", help=help)
    else:
        verb.add_argument(f"--{option.name}", metavar=metavar, help=help)


def _options() -> list[Option]:
    return [option for option in commands.command("imagine").options if option.name != "prompt"]


def _help(option: Option) -> str:
    words = [option.help]
    if option.kind in ("integer", "number") and option.maximum is not None:
        words.append(f"{option.minimum or 0:.0f} to {option.maximum:.0f}.")
    if option.choices:
        words.append(f"{', '.join(option.choices)}.")
    if option.default:
        words.append(f"Left out: {option.default}.")
    return " ".join(words).replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
