"""The environment and `.env` as typed, frozen settings, with one clear error per bad value.

Each setting is a field with a sentence or two below it: of `CoreSettings`, or of a subclass beside what it
sets up (a surface, the engine, storage); `bot.surfaces.Settings` has them all. Its name in the environment is
the field's name in capitals; what may hold a secret may also be given as `NAME_FILE`, the path of a file with
it. The environment wins over `.env`, and an empty value means the default.
"""

from __future__ import annotations

import difflib
import ipaddress
import logging
import os
import re
import stat
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefinedType
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.errors import SettingError

# Settings are read before logs are set up; these warnings go to standard error even then.
log = logging.getLogger(__name__)


class Secret(SecretStr):
    """A value that shows itself only to `reveal()`: not to repr, str, format strings, logs or pickle."""

    def __init__(self, value: str = "") -> None:
        super().__init__(value)

    def reveal(self) -> str:
        return self.get_secret_value()

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


# ---- kinds of values. A validator raises ValueError with what is allowed.


def _parts(value: object) -> object:
    """Split what has commas in it."""
    if not isinstance(value, str):
        return value
    return tuple(each.strip() for each in value.split(",") if each.strip())


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address, as in https://easel.example.org")
    return value.rstrip("/")


def _operators(ids: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(r"(discord|slack):[\w:]+", id, re.ASCII) for id in ids):
        raise ValueError("members' ids as in discord:123,slack:T1:U1")
    return ids


def _database(value: str) -> str:
    scheme, _, rest = value.partition("://")
    known = scheme in ("sqlite", "postgresql", "postgresql+psycopg", "postgres")
    if not known or not rest.strip("/") or (scheme == "sqlite" and not rest.startswith("/")):
        raise ValueError(
            "a file as in sqlite:///data/easel.db, or a server as in postgresql://user:password@host/easel"
        )
    return value


Several = Annotated[tuple[str, ...], BeforeValidator(_parts)]
Address = Annotated[str, AfterValidator(_address)]
Port = Annotated[int, Field(ge=0, le=65535)]


class CoreSettings(BaseSettings):
    """What all of Easel shares. Raises SettingError when two values do not go together."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    data_dir: Annotated[Path, AfterValidator(Path.expanduser)] = Path("data")
    """The folder for the database and the pictures."""
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default_factory=lambda given: f"sqlite:///{given['data_dir'].as_posix()}/easel.db",
        repr=False,  # it may hold a password
    )
    """Where jobs and quotas are kept: sqlite:///file or postgresql://user:password@host/name. Empty:
    easel.db in DATA_DIR."""
    tiers_file: str = ""
    """A file of tiers in place of the one that ships: bot/accounts/tiers.toml is an example to copy."""
    packs_file: str = ""
    """A file of size packs for --pack, added to those that ship: bot/prompts/packs.toml is an example."""
    operators: Annotated[Several, AfterValidator(_operators)] = ()
    """Members on Discord or Slack who run this Easel, by their ids as in discord:123,slack:T1:U1. They may
    do what a server's administrators may not: give device-seconds, for example."""
    direct_messages: bool = True
    """Whether images may be asked for in direct messages."""
    signing_certificate: str = ""
    """A PEM file with your own certificate for signing pictures, then those that vouch for it. Empty:
    Easel makes one at its first start, in keys in DATA_DIR."""
    signing_key: str = ""
    """The PEM file with the private key of SIGNING_CERTIFICATE."""
    picture_check: bool = True
    """Whether a classifier looks at every picture before it is shown."""
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 0
    """After how many days jobs and their pictures are deleted; 0 keeps them."""
    max_source_mb: Annotated[int, Field(ge=1, le=200)] = 20
    """The largest source picture taken, in MB."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = "info"
    """What is logged: debug, info, warning or error."""
    log_format: Annotated[Literal["text", "json"], BeforeValidator(str.lower)] = "text"
    """How it is logged: text or json."""
    log_prompts: bool = False
    """Whether prompts may appear in the log."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing when an object is made in code: `load` does."""
        return (init_settings,)

    @classmethod
    def load(cls, env_file: str | Path = ".env", environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings. Raises SettingError, which names the setting, its value and the remedy."""
        path = Path(env_file)
        file = _read_file(path)
        _warn_about(cls, path, file)
        for name in _MOVED:
            if environ.get(name) or file.get(name):
                raise SettingError(
                    f"{name} is set by tiers now: put it into a TIERS_FILE, then remove {name}."
                )
        given = _Texts(cls, file, str(path))() | _Texts(cls, environ, "the environment")()
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingError(_sentence(cls, given, error.errors()[0])) from None

    @classmethod
    def example(cls) -> str:
        """Return the text of `.env.example`: every setting with its help and its default."""
        head = "# Easel's settings. Copy this file to .env and remove the # before what you change.\n"
        head += "# A token or password may also be read from a file: NAME_FILE=/path instead of NAME=value.\n"
        parts = [head]
        for name, field in cls.model_fields.items():
            help = textwrap.fill(_help(field), 98, break_on_hyphens=False)
            parts.append(f"{textwrap.indent(help, '# ')}\n#{name.upper()}={_shown_default(field)}\n")
        return "\n".join(parts)

    @classmethod
    def markdown_table(cls) -> str:
        """Return the README's table of settings, in Markdown."""
        rows = ["| setting | default | what it does |", "|---|---|---|"]
        for name, field in cls.model_fields.items():
            default = _shown_default(field)
            rows.append(f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {_help(field)} |")
        return "\n".join(rows) + "\n"

    @property
    def keys_dir(self) -> Path:
        """Where the keys stand that pictures are signed and marked with."""
        return self.data_dir / "keys"

    @property
    def max_source_bytes(self) -> int:
        return self.max_source_mb * 1_000_000

    def secrets(self) -> tuple[Secret, ...]:
        """Return the secrets that are set, and the database's password."""
        values = [getattr(self, name) for name in type(self).model_fields]
        values.append(_password(self.database_url))
        return tuple(value for value in values if isinstance(value, Secret) and value)


_MOVED = ("DAILY_SECONDS", "MAX_WAITING", "MAX_COUNT")
"""Settings of earlier versions: to ignore them could let people use more than before."""


class _Texts(PydanticBaseSettingsSource):
    """What is given as text: in the environment, or in a file like `.env`."""

    def __init__(self, kind: type[BaseSettings], given: Mapping[str, str], where: str) -> None:
        super().__init__(kind)
        self._given = given
        self._where = where

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str, str, bool]:
        name = field_name.upper()
        value = self._given.get(name, "").strip()
        file = self._given.get(f"{name}_FILE", "").strip() if _is_hidden(field) else ""
        if value and file:
            raise SettingError(f"{name} and {name}_FILE are both set in {self._where}: remove one of them.")
        return _read_secret(f"{name}_FILE", Path(file).expanduser()) if file else value, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        return {name: text for name in fields if (text := self.get_field_value(fields[name], name)[0])}


def _help(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _is_hidden(field: FieldInfo) -> bool:
    return field.annotation is Secret or not field.repr


def _shown_default(field: FieldInfo) -> str:
    match field.default:
        case Secret() | PydanticUndefinedType():
            return ""
        case bool() as flag:
            return str(flag).lower()
        case float() as number:
            return f"{number:g}"
        case tuple() as several:
            return ",".join(several)
        case other:
            return str(other)


def _read_file(path: Path) -> dict[str, str]:
    try:
        found = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read ({error}): make it a text file you may read.") from error
    return {name: value for name, value in found.items() if value}


def _warn_about(kind: type[BaseSettings], path: Path, found: Mapping[str, str]) -> None:
    if found and os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        log.warning("Others on this machine can read %s: run `chmod 600 %s`.", path, path)
    fields = kind.model_fields
    known = {name.upper() for name in fields}
    known |= {f"{name.upper()}_FILE" for name, field in fields.items() if _is_hidden(field)}
    for name in found.keys() - known:
        if close := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            log.warning("%s has an unknown setting %s: did you mean %s?", path, name, close[0])


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


def _sentence(kind: type[BaseSettings], given: Mapping[str, str], error: ErrorDetails) -> str:
    """Return what is wrong with a value, and what it must be."""
    name = str(error["loc"][0])
    shown = re.sub(r"//.*@", "//…@", given[name])  # a password may stand there
    return f"{name.upper()}={shown} cannot be used: it must be {_allowed(kind.model_fields[name], error)}."


def _allowed(field: FieldInfo, error: ErrorDetails) -> str:
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "bool_parsing":
            return "true or false"
        case "literal_error":
            return f"one of {', '.join(get_args(field.annotation))}"
    number = "a whole number" if field.annotation is int else "a number of seconds"
    (low,) = (limit.ge for limit in field.metadata if hasattr(limit, "ge"))
    (high,) = (limit.le for limit in field.metadata if hasattr(limit, "le"))
    return f"{number} from {low} to {high}"


def _password(url: str) -> Secret:
    found = re.search(r"//[^:/]*:(.*)@", url)
    return Secret(unquote(found[1]) if found else "")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
