from __future__ import annotations

import logging
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import ValidationError

from bot.adapters import slack
from bot.adapters.discord.settings import DiscordSettings
from bot.easel import Easel
from bot.errors import SettingError
from bot.i18n.speech import Speech
from bot.settings import Secret
from bot.surfaces import CHATS, Chat, Settings


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    found = Settings.load(tmp_path / "none", {})
    assert found == Settings()
    assert found.database_url == "sqlite:///data/easel.db"
    assert found.model == ("easel-tiny",)
    assert not found.discord_token


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / ".env", "WEB_PORT=1\nDATA_DIR=/srv/easel\nMODEL='a, b/c'\nLOG_PROMPTS=yes\n")
    found = Settings.load(file, {"WEB_PORT": "2", "UNRELATED": "x"})
    assert (found.web_port, found.data_dir, found.model) == (2, Path("/srv/easel"), ("a", "b/c"))
    assert found.database_url == "sqlite:////srv/easel/easel.db"
    assert found.log_prompts is True


def test_an_empty_value_means_the_default(tmp_path: Path) -> None:
    file = write(tmp_path / ".env", "WEB_PORT=9000\nMAX_SOURCE_MB=\n")
    found = Settings.load(file, {"WEB_PORT": ""})
    assert (found.web_port, found.max_source_mb) == (9000, 20)


@pytest.mark.parametrize("name", ["DAILY_SECONDS", "MAX_WAITING", "MAX_COUNT"])
def test_what_tiers_set_now_is_not_ignored(tmp_path: Path, name: str) -> None:
    for file, given in ((f"{name}=5\n", {}), ("", {name: "5"})):
        with pytest.raises(SettingError, match=f"{name} is set by tiers now: put it into a TIERS_FILE"):
            Settings.load(write(tmp_path / ".env", file), given)


def test_operators_are_members_whose_id_nobody_can_choose(tmp_path: Path) -> None:
    found = Settings.load(tmp_path / "none", {"OPERATORS": "discord:123, slack:T1:U1"})
    assert found.operators == ("discord:123", "slack:T1:U1")
    for wrong in ("ada", "web:ada", "cli:root", "discord:"):
        with pytest.raises(SettingError, match=f"OPERATORS={wrong} cannot be used"):
            Settings.load(tmp_path / "none", {"OPERATORS": wrong})


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("WEB_PORT", "99999", "a whole number from 0 to 65535"),
        ("WEB_PORT", "-1", "a whole number from 0 to 65535"),
        ("WEB_PORT", "²", "a whole number from 0 to 65535"),
        ("MAX_SOURCE_MB", "201", "a whole number from 1 to 200"),
        ("HANG_SECONDS", "nan", "a number of seconds from 5"),
        ("HANG_SECONDS", "plenty", "a number of seconds from 5"),
        ("DEVICE", "gpu", "cuda:0,cuda:1"),
        ("DEVICE", "cuda:0,cpu", "cuda:0,cuda:1"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("LOG_PROMPTS", "maybe", "true or false"),
        ("MODEL", " , ", "one or more model names"),
        ("DATABASE_URL", "mysql://x", "sqlite:///data/easel.db"),
        ("DATABASE_URL", "sqlite:///", "sqlite:///data/easel.db"),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(tmp_path: Path, name: str, value: str, remedy: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load(tmp_path / "none", {name: value})
    assert f"{name}={value.strip()}" in str(caught.value)
    assert remedy in str(caught.value)


def test_several_gpus_and_models_are_taken(tmp_path: Path) -> None:
    found = Settings.load(
        tmp_path / "none", {"DEVICE": "cuda:0, cuda:1", "WEB_PORT": "0", "HANG_SECONDS": "30.5"}
    )
    assert (found.device, found.web_port, found.hang_seconds) == ("cuda:0,cuda:1", 0, 30.5)


def test_an_open_web_studio_needs_a_password(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="WEB_PASSWORD"):
        Settings.load(tmp_path / "none", {"WEB_HOST": "0.0.0.0"})
    assert Settings.load(tmp_path / "none", {"WEB_HOST": "0.0.0.0", "WEB_PASSWORD": "hunter2"}).web_password
    for host in ("localhost", "127.0.0.2", "::1", "[::1]"):
        assert Settings.load(tmp_path / "none", {"WEB_HOST": host}).web_host == host


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    token = write(tmp_path / "token", "t0p-s3cret\n")
    for source in ({}, {"DISCORD_TOKEN_FILE": str(token)}):
        file = write(tmp_path / ".env", "" if source else f"DISCORD_TOKEN_FILE={token}\n")
        assert Settings.load(file, source).discord_token == Secret("t0p-s3cret")


def test_the_environments_secret_wins_over_the_files(tmp_path: Path) -> None:
    token = write(tmp_path / "token", "from the file")
    file = write(tmp_path / ".env", f"DISCORD_TOKEN_FILE={token}\n")
    assert Settings.load(file, {"DISCORD_TOKEN": "from outside"}).discord_token == Secret("from outside")


@pytest.mark.parametrize("content", [None, "", b"\xff\xfe\x00"])
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SettingError, match=f"SLACK_APP_TOKEN_FILE={path}"):
        Settings.load(tmp_path / "none", {"SLACK_APP_TOKEN_FILE": str(path)})


def test_a_secret_given_twice_is_refused_without_showing_it(tmp_path: Path) -> None:
    given = {"DISCORD_TOKEN": "t0p-s3cret", "DISCORD_TOKEN_FILE": "/x"}
    with pytest.raises(SettingError, match="both set in the environment") as caught:
        Settings.load(tmp_path / "none", given)
    assert "t0p-s3cret" not in str(caught.value)


def test_an_unreadable_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"WEB_PORT=\xff\xfe")
    with pytest.raises(SettingError, match="make it a text file"):
        Settings.load(tmp_path / ".env", {})


def test_a_file_that_others_can_read_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / ".env", "WEB_PORT=1\n", mode=0o644)
    with caplog.at_level(logging.WARNING):
        Settings.load(file, {})
        assert f"chmod 600 {file}" in caplog.text
        caplog.clear()
        file.chmod(0o600)
        Settings.load(file, {})
        assert not caplog.records


def test_a_misspelt_setting_is_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Settings.load(write(tmp_path / ".env", "DISCORD_TOKN=abc\nHOMEPAGE=x\n"), {})
    assert "DISCORD_TOKN: did you mean DISCORD_TOKEN?" in caplog.text
    assert "HOMEPAGE" not in caplog.text
    assert "abc" not in caplog.text


def test_secrets_do_not_show() -> None:
    found = Settings(discord_token=Secret("t0p-s3cret"))
    assert "t0p-s3cret" not in f"{found!r} {found.discord_token} {found.discord_token!r}"
    assert found.discord_token.reveal() == "t0p-s3cret"
    assert found.secrets() == (Secret("t0p-s3cret"),)


def test_the_database_s_password_does_not_show(tmp_path: Path) -> None:
    url = "postgresql://easel:p%40ss-w0rd@db.example/easel"
    found = Settings.load(tmp_path / "none", {"DATABASE_URL": url})
    assert found.database_url == url
    assert "ss-w0rd" not in repr(found)
    assert found.secrets() == (Secret("p@ss-w0rd"),)
    with pytest.raises(SettingError) as caught:
        Settings.load(tmp_path / "none", {"DATABASE_URL": url.replace("postgresql", "mysql")})
    assert "mysql://…@db.example/easel" in str(caught.value)
    assert "ss-w0rd" not in str(caught.value)


def test_the_database_may_be_named_in_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "url", "postgresql://easel:secret@db/easel\n")
    found = Settings.load(tmp_path / "none", {"DATABASE_URL_FILE": str(file)})
    assert found.database_url == "postgresql://easel:secret@db/easel"


def test_the_example_file_is_current_and_means_the_defaults(tmp_path: Path) -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    assert example == Settings.example()
    lines = [
        line.removeprefix("#") for line in example.splitlines() if line.startswith("#") and line[1] != " "
    ]
    assert Settings.load(write(tmp_path / ".env", "\n".join(lines)), {}) == Settings()
    assert len(lines) == len(Settings.model_fields)


def test_the_table_has_a_row_for_every_setting() -> None:
    table = Settings.markdown_table()
    assert table.count("\n| `") == len(Settings.model_fields)
    assert "| `WEB_PORT` | `8000` |" in table


def test_slack_s_settings_are_read(tmp_path: Path) -> None:
    given = {
        "SLACK_ADMINS": "u1ada, W2BEN",
        "SLACK_URL": "https://easel.example.org/",
        "SLACK_CLIENT_ID": "1.2",
    }
    found = Settings.load(tmp_path / "none", given)

    assert found.slack_admins == ("U1ADA", "W2BEN") and slack.wanted(found)
    assert found.slack_url == "https://easel.example.org"
    assert not slack.wanted(Settings.load(tmp_path / "none", {}))
    for name, value in (
        ("SLACK_ADMINS", "ada"),
        ("SLACK_ADMINS", "U1,@ben"),
        ("SLACK_URL", "easel.example.org"),
        ("SLACK_URL", "https://"),
        ("SLACK_HTTP_PORT", "70000"),
    ):
        with pytest.raises(SettingError, match=name):
            Settings.load(tmp_path / "none", {name: value})


def test_settings_made_in_code_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PORT", "1")
    assert Settings().web_port == 8000
    with pytest.raises(ValidationError):
        Settings(web_porte=1)  # type: ignore[call-arg]


def test_a_part_s_settings_are_read_without_the_others(tmp_path: Path) -> None:
    given = {"DISCORD_TOKEN": "t0p-s3cret", "WEB_PORT": "not a port", "DATA_DIR": "/srv"}
    found = DiscordSettings.load(tmp_path / "none", given)
    assert (found.discord_token.reveal(), found.data_dir) == ("t0p-s3cret", Path("/srv"))


def test_each_setting_is_declared_once() -> None:
    """Two parts may not mean different things by one name."""
    declared: dict[str, list[str]] = {}
    for part in Settings.__mro__:
        for name in vars(part).get("__annotations__", {}).keys() & Settings.model_fields.keys():
            declared.setdefault(name, []).append(part.__name__)
    assert declared.keys() == Settings.model_fields.keys()
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert {name: parts for name, parts in declared.items() if len(parts) > 1} == {}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_value_that_is_refused_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    """Whatever a part declares, a wrong value is answered in words that name it and show no secret."""
    for value in ("\N{SNOWMAN}", "-1", "1e400", "0.0.0.0", *["x://user:hunter2@"] * name.endswith("_url")):
        try:
            Settings.load(tmp_path / "none", {name.upper(): value})
        except SettingError as error:
            assert str(error).startswith(name.upper()) or "together" in str(error)
            assert str(error).endswith(".") and "\n" not in str(error)
            assert "hunter2" not in str(error)


@pytest.mark.parametrize("surface", CHATS)
def test_a_chat_is_opened_where_it_is_set_up(surface: Chat) -> None:
    assert not surface.wanted(Settings())
    token = Secret("a.token.of-ours")
    both = Settings(discord_token=token, slack_bot_token=token, slack_signing_secret=token)
    assert surface.wanted(both)
    easel = cast(Easel, SimpleNamespace(speech=Speech()))
    assert surface.open_adapter(easel, both).name in ("discord", "slack")


def test_a_secret_is_neither_shown_nor_pickled() -> None:
    secret = Secret("t0p-s3cret")
    assert "t0p" not in f"{secret!r} {secret} {[secret]}" and secret.reveal() == "t0p-s3cret"
    assert secret == Secret("t0p-s3cret") != Secret("another") and secret and not Secret()
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Settings(discord_token=secret))
