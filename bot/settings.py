"""The only reader of the environment and `.env`: typed, frozen, one clear error per bad value.

Each setting is declared once, as a field of `Settings`. Its name in the environment is the field's name in
capitals; a secret may also be given as `NAME_FILE`, the path of a file that holds it. The environment wins
over `.env`, and an empty value means the default.
"""

from __future__ import annotations

# ruff: noqa: RUF009 — the calls in the class body are dataclass fields.
import difflib
import ipaddress
import logging
import os
import re
import stat
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from bot.errors import SettingError

# Settings are read before logs are set up; these warnings go to standard error even then.
log = logging.getLogger(__name__)


class Secret:
    """A value that shows itself only to `reveal()`: not to repr, str, format strings or logs."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(…)" if self else "Secret()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


Parser = Callable[[str], Any]
"""From text to a value. Raises ValueError with what is allowed: "a whole number from 1 to 16"."""


def text(value: str) -> str:
    return value


def whole(low: int, high: int) -> Parser:
    def parse(value: str) -> int:
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def seconds(low: float, high: float) -> Parser:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise ValueError(f"a number of seconds from {low:g} to {high:g}")
        return number

    return parse


def one_of(*choices: str) -> Parser:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value.lower()

    return parse


def yes_or_no(value: str) -> bool:
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if value.lower() not in words:
        raise ValueError("true or false")
    return words[value.lower()]


def names(value: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in value.split(",") if name.strip())
    if not found:
        raise ValueError("one or more model names with commas between them")
    return found


def slack_users(value: str) -> tuple[str, ...]:
    found = tuple(id.strip().upper() for id in value.split(",") if id.strip())
    if not all(id[0] in "UW" and id.isascii() and id.isalnum() for id in found):
        raise ValueError("user ids as in U012ABCDEF,U345GHIJKL")
    return found


def address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address, as in https://easel.example.org")
    return value.rstrip("/")


def networks(value: str) -> tuple[str, ...]:
    found = tuple(each.strip() for each in value.split(",") if each.strip())
    try:
        for each in found:
            ipaddress.ip_network(each)
    except ValueError as error:
        raise ValueError("addresses or networks as in 127.0.0.1,10.0.0.0/8") from error
    return found


def operators(value: str) -> tuple[str, ...]:
    found = tuple(id.strip() for id in value.split(",") if id.strip())
    if not all(re.fullmatch(r"(discord|slack):[\w:]+", id, re.ASCII) for id in found):
        raise ValueError("members' ids as in discord:123,slack:T1:U1")
    return found


def devices(value: str) -> str:
    wanted = [device.strip().lower() for device in value.split(",")]
    alone = len(wanted) == 1 and wanted[0] in ("auto", "cpu", "cuda", "mps")
    if not alone and not all(d.startswith("cuda:") and d[5:].isdecimal() for d in wanted):
        raise ValueError("auto, cpu, cuda, mps, or GPUs by number as in cuda:0,cuda:1")
    return ",".join(wanted)


def database(value: str) -> str:
    scheme, _, rest = value.partition("://")
    known = scheme in ("sqlite", "postgresql", "postgresql+psycopg", "postgres")
    if not known or not rest.strip("/") or (scheme == "sqlite" and not rest.startswith("/")):
        raise ValueError(
            "a file as in sqlite:///data/easel.db, or a server as in postgresql://user:password@host/easel"
        )
    return value


def bucket(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("a bucket, and a folder in it if you like, as in s3://bucket/easel")
    return value.rstrip("/")


def folder(value: str) -> Path:
    return Path(value).expanduser()


def setting(default: Any, help: str, *, parse: Parser = text, hidden: bool = False) -> Any:
    """Declare a setting: its default, one or two sentences of help, and what reads it.

    One that is `hidden` may hold a password: it may come from a file, and repr leaves it out.
    """
    metadata = {"help": help, "parse": parse, "secret": hidden}
    return field(default=default, repr=not hidden, metadata=metadata)


def secret(help: str) -> Any:
    return field(default=Secret(), metadata={"help": help, "parse": Secret, "secret": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Raises SettingError when two values do not go together."""

    data_dir: Path = setting(Path("data"), "The folder for the database and the pictures.", parse=folder)
    database_url: str = setting(
        "",
        "Where jobs and quotas are kept: sqlite:///file or postgresql://user:password@host/name. "
        "Empty: easel.db in DATA_DIR.",
        parse=database,
        hidden=True,
    )
    pictures_url: str = setting(
        "",
        "A bucket of an S3-compatible storage to keep pictures in, as in s3://bucket/folder. Empty: the "
        "folder pictures in DATA_DIR.",
        parse=bucket,
    )
    s3_endpoint: str = setting(
        "",
        "The address of that storage where it is not Amazon's, as in https://minio.example.org.",
        parse=address,
    )
    s3_region: str = setting("", "The region of the bucket. Empty: us-east-1.")
    s3_access_key: str = setting(
        "", "The access key for the bucket. Empty: the one that Amazon's own tools find on this machine."
    )
    s3_secret_key: Secret = secret("The secret of S3_ACCESS_KEY.")
    web_host: str = setting(
        "127.0.0.1",
        "The address of the web studio. Any but a loopback one needs WEB_URL, so that people can be sent "
        "links, or WEB_PASSWORD.",
    )
    web_port: int = setting(8000, "The port of the web studio; 0 takes any free one.", parse=whole(0, 65535))
    web_url: str = setting(
        "",
        "Where people open the web studio, as in https://studio.example.org: the links of /studio and of "
        "invitations begin so. Empty: the studio is for this machine, or by WEB_PASSWORD.",
        parse=address,
    )
    web_proxies: tuple[str, ...] = setting(
        (),
        "The proxies in front of the web studio, as in 127.0.0.1,10.0.0.0/8. From them alone X-Forwarded-For "
        "is read.",
        parse=networks,
    )
    web_password: Secret = secret(
        "Lets everybody who knows it into the web studio, as guests who share one quota. Empty: people come "
        "in by /studio or an invitation; on this machine alone, without either."
    )
    web_admin_password: Secret = secret(
        "Asked for by the administrator's page of the web studio. Empty: Easel makes one at its first start "
        "and keeps it in admin.password in DATA_DIR."
    )

    metrics_token: Secret = secret(
        "What scrapes /metrics sends as a bearer token. Empty: only people who are logged in see the numbers."
    )

    model: tuple[str, ...] = setting(
        ("easel-tiny",),
        "The models to offer, with commas between them; the first is the default. Each is a name of the "
        "catalog, a hub name (owner/model), a folder or a .safetensors file.",
        parse=names,
    )
    device: str = setting(
        "auto",
        "What to paint on: auto, cpu, cuda, mps, or GPUs by number as in cuda:0,cuda:1.",
        parse=devices,
    )
    hang_seconds: float = setting(
        120.0, "A step that takes longer than this many seconds restarts its worker.", parse=seconds(5, 86400)
    )

    discord_token: Secret = secret("The bot token of the Discord application. Empty: no Discord.")
    slack_bot_token: Secret = secret("The bot token of the Slack app (xoxb-…). Empty: no Slack.")
    slack_app_token: Secret = secret("The app-level token of the Slack app (xapp-…), for Socket Mode.")
    slack_signing_secret: Secret = secret("The signing secret of the Slack app, for HTTP mode.")
    slack_client_id: str = setting("", "The client id of the Slack app, to be installed in many workspaces.")
    slack_client_secret: Secret = secret("The client secret of the Slack app, for the same.")
    slack_token_keys: Secret = secret(
        "What encrypts the tokens of many workspaces: keys of `python -m bot slack key`, with commas between "
        "them. The first encrypts, all decrypt."
    )
    slack_url: str = setting(
        "", "The address that Slack reaches in HTTP mode, as in https://easel.example.org.", parse=address
    )
    slack_http_host: str = setting("127.0.0.1", "Where HTTP mode listens; a proxy with TLS stands before it.")
    slack_http_port: int = setting(
        3000, "The port of HTTP mode; 0 takes any free one.", parse=whole(0, 65535)
    )
    slack_admins: tuple[str, ...] = setting(
        (),
        "Slack user ids that administer Easel beside Slack's own admins, with commas between them.",
        parse=slack_users,
    )

    tiers_file: str = setting(
        "", "A file of tiers in place of the one that ships: bot/accounts/tiers.toml is an example to copy."
    )
    operators: tuple[str, ...] = setting(
        (),
        "Members on Discord or Slack who run this Easel, by their ids as in discord:123,slack:T1:U1. They "
        "may do what a server's administrators may not: give device-seconds, for example.",
        parse=operators,
    )
    signing_certificate: str = setting(
        "",
        "A PEM file with your own certificate for signing pictures, then those that vouch for it. Empty: "
        "Easel makes one at its first start, in keys in DATA_DIR.",
    )
    signing_key: str = setting("", "The PEM file with the private key of SIGNING_CERTIFICATE.")
    picture_check: bool = setting(
        True, "Whether a classifier looks at every picture before it is shown.", parse=yes_or_no
    )
    retention_days: int = setting(
        0, "After how many days jobs and their pictures are deleted; 0 keeps them.", parse=whole(0, 36500)
    )
    max_source_mb: int = setting(20, "The largest source picture taken, in MB.", parse=whole(1, 200))

    log_level: str = setting(
        "info",
        "What is logged: debug, info, warning or error.",
        parse=one_of("debug", "info", "warning", "error"),
    )
    log_format: str = setting("text", "How it is logged: text or json.", parse=one_of("text", "json"))
    log_prompts: bool = setting(False, "Whether prompts may appear in the log.", parse=yes_or_no)

    def __post_init__(self) -> None:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data_dir.as_posix()}/easel.db")
        if not (self.web_password or self.web_url or _is_loopback(self.web_host)):
            raise SettingError(
                f"WEB_HOST={self.web_host} opens the web studio to the network without a password: "
                "set WEB_URL or WEB_PASSWORD, or WEB_HOST=127.0.0.1."
            )
        if bool(self.s3_access_key) != bool(self.s3_secret_key):
            raise SettingError("S3_ACCESS_KEY and S3_SECRET_KEY go together: set both, or remove both.")

    @property
    def web_is_open(self) -> bool:
        """Whether the web studio is for this machine alone, so that nobody logs in."""
        outside = self.web_url and not _is_loopback(urlsplit(self.web_url).hostname or "")
        return not (self.web_password or outside) and _is_loopback(self.web_host)

    @property
    def slack_wanted(self) -> bool:
        """Whether there is a Slack app to be: one workspace's token, or the means to be installed."""
        return bool(self.slack_bot_token or self.slack_client_id)

    @property
    def admin_password_file(self) -> Path:
        """Where the password of the administrator's page stands if no setting gives it."""
        return self.data_dir / "admin.password"

    @property
    def keys_dir(self) -> Path:
        """Where the keys stand that pictures are signed and marked with."""
        return self.data_dir / "keys"

    @property
    def max_source_bytes(self) -> int:
        return self.max_source_mb * 1_000_000

    def secrets(self) -> tuple[Secret, ...]:
        """Return the secrets that are set, and the database's password."""
        values = [getattr(self, each.name) for each in fields(self)]
        values.append(_password(self.database_url))
        return tuple(value for value in values if isinstance(value, Secret) and value)


def load(env_file: str | Path = ".env", environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises SettingError, which names the setting, its value and the remedy."""
    path = Path(env_file)
    file = _read_file(path)
    _warn_about(path, file)
    values: dict[str, Any] = {}
    for name in _MOVED:
        if environ.get(name) or file.get(name):
            raise SettingError(f"{name} is set by tiers now: put it into a TIERS_FILE, then remove {name}.")
    for each in fields(Settings):
        given = _given(each, environ, "the environment") or _given(each, file, str(path))
        if given:
            values[each.name] = _parse(each, given)
    return Settings(**values)


def example() -> str:
    """Return the text of `.env.example`: every setting with its help and its default."""
    head = "# Easel's settings. Copy this file to .env and remove the # before what you change.\n"
    head += "# A token or password may also be read from a file: NAME_FILE=/path instead of NAME=value.\n"
    parts = [head]
    for each in fields(Settings):
        help = textwrap.fill(each.metadata["help"], 100, initial_indent="# ", subsequent_indent="# ")
        parts.append(f"{help}\n#{_name(each)}={_shown_default(each)}\n")
    return "\n".join(parts)


def markdown_table() -> str:
    """Return the README's table of settings, in Markdown."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for each in fields(Settings):
        default = _shown_default(each)
        rows.append(f"| `{_name(each)}` | {f'`{default}`' if default else ''} | {each.metadata['help']} |")
    return "\n".join(rows) + "\n"


_MOVED = ("DAILY_SECONDS", "MAX_WAITING", "MAX_COUNT")
"""Settings of earlier versions: to ignore them could let people use more than before."""


def _name(each: Field[Any]) -> str:
    return each.name.upper()


def _is_secret(each: Field[Any]) -> bool:
    return bool(each.metadata["secret"])


def _shown_default(each: Field[Any]) -> str:
    match each.default:
        case Secret():
            return ""
        case bool() as flag:
            return str(flag).lower()
        case float() as number:
            return f"{number:g}"
        case tuple() as several:
            return ",".join(several)
    return str(each.default)


def _read_file(path: Path) -> dict[str, str]:
    try:
        found = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read ({error}): make it a text file you may read.") from error
    return {name: value for name, value in found.items() if value}


def _warn_about(path: Path, found: Mapping[str, str]) -> None:
    if found and os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        log.warning("Others on this machine can read %s: run `chmod 600 %s`.", path, path)
    known = {_name(each) for each in fields(Settings)}
    known |= {f"{_name(each)}_FILE" for each in fields(Settings) if _is_secret(each)}
    for name in found.keys() - known:
        if close := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            log.warning("%s has an unknown setting %s: did you mean %s?", path, name, close[0])


def _given(each: Field[Any], source: Mapping[str, str], where: str) -> str:
    name = _name(each)
    value = source.get(name, "").strip()
    file = source.get(f"{name}_FILE", "").strip() if _is_secret(each) else ""
    if value and file:
        raise SettingError(f"{name} and {name}_FILE are both set in {where}: remove one of them.")
    return _read_secret(f"{name}_FILE", Path(file).expanduser()) if file else value


def _read_secret(name: str, path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(
            f"{name}={path} cannot be read ({reason}): name a text file you may read."
        ) from error
    if not value:
        raise SettingError(f"{name}={path} is empty: put the secret into it, or remove {name}.")
    return value


def _parse(each: Field[Any], value: str) -> Any:
    parse = cast(Parser, each.metadata["parse"])
    try:
        return parse(value)
    except ValueError as error:
        shown = re.sub(r"//.*@", "//…@", value)  # a password may stand there
        raise SettingError(f"{_name(each)}={shown} cannot be used: it must be {error}.") from error


def _password(url: str) -> Secret:
    found = re.search(r"//[^:/]*:(.*)@", url)
    return Secret(unquote(found[1]) if found else "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
