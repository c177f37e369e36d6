"""The command line: `python -m bot run | imagine | doctor`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot import commands
from bot.commands import Option
from bot.errors import EaselError

if TYPE_CHECKING:
    from bot.settings import Settings

# The rest is imported where it is used: a worker process imports this module again, and needs none of it.

DESCRIPTION = "Easel paints what people describe, for everyone on one GPU in a fair turn."
EXAMPLES = """examples:
  python -m bot run
  python -m bot imagine "a red heart" --seed 7 --count 1 --out pictures
  python -m bot imagine "a lighthouse at night" --style "oil painting" --ar 16:9 --json
  python -m bot doctor

Settings come from .env or the environment; .env.example lists them all.
MODEL=memory paints plain shapes without torch or a model: enough to try everything else.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0 is success, 1 a refusal or a failed job, 2 a mistake in the set-up."""
    said = parser().parse_args(arguments)
    try:
        return asyncio.run(_run(said))
    except EaselError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


async def _run(said: argparse.Namespace) -> int:
    from bot import settings

    match said.command:
        case "imagine":
            return await _imagine(said, settings.load())
        case "doctor":
            return await _doctor(said, settings.load())
    from bot import app

    await app.run(settings.load())
    return 0


async def _imagine(said: argparse.Namespace, settings: Settings) -> int:
    from bot.adapters import cli

    options = {option.name: getattr(said, option.name) for option in _options()}
    options["prompt"] = " ".join(said.prompt)
    return await cli.imagine(settings, options, out=said.out, as_json=said.json)


async def _doctor(said: argparse.Namespace, settings: Settings) -> int:
    from bot import doctor

    findings = await doctor.examine(settings)
    sys.stdout.write(f"{doctor.render(findings, said.json)}\n")
    return 0 if all(finding.ok is not False for finding in findings) else 1


def parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m bot", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=plain
    )
    verbs = top.add_subparsers(dest="command", required=True, metavar="command")
    verbs.add_parser(
        "run",
        help="open the web studio, and Discord and Slack where tokens are set",
        description="Serve until Ctrl-C. Running jobs get 30 s to end; the others wait for the next start.",
    )
    _add_imagine(verbs)
    doctor = verbs.add_parser(
        "doctor",
        help="check this machine and the settings, with a remedy for what is wrong",
        description="Check Python, the device, the model, the database, the disk, tokens and ports.",
    )
    doctor.add_argument("--json", action="store_true", help="say it as JSON")
    return top


def _add_imagine(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
            metavar = option.name.upper()
            verb.add_argument(*names, dest=option.name, metavar=metavar, help=_help(option))
    verb.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where to write the PNG files (default: here)"
    )
    verb.add_argument("--json", action="store_true", help="say the job, its state, files and cost as JSON")


def _options() -> list[Option]:
    return [option for option in commands.command("imagine").options if option.name != "prompt"]


def _help(option: Option) -> str:
    words = [option.help]
    if option.kind in ("integer", "number") and option.maximum is not None:
        words.append(f"{option.minimum or 0:.0f} to {option.maximum:.0f}.")
    if option.default:
        words.append(f"Left out: {option.default}.")
    return " ".join(words).replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())
