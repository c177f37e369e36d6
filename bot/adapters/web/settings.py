"""The web studio's settings."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from bot.errors import SettingError
from bot.settings import Address, CoreSettings, Port, Secret, Several, is_loopback


def networks(found: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses and networks as they are. Raises ValueError for what is none."""
    try:
        for each in found:
            ipaddress.ip_network(each)
    except ValueError as error:
        raise ValueError("addresses or networks as in 127.0.0.1,10.0.0.0/8") from error
    return found


class WebSettings(CoreSettings):
    """Where the web studio listens, and who comes in."""

    web_host: str = "127.0.0.1"
    """The address of the web studio. Any but a loopback one needs WEB_URL, so that people can be sent
    links, or WEB_PASSWORD."""
    web_port: Port = 8000
    """The port of the web studio; 0 takes any free one."""
    web_url: Address = ""
    """Where people open the web studio, as in https://studio.example.org: the links of /studio and of
    invitations begin so. Empty: the studio is for this machine, or by WEB_PASSWORD."""
    web_proxies: Annotated[Several, AfterValidator(networks)] = ()
    """The proxies in front of the web studio, as in 127.0.0.1,10.0.0.0/8. From them alone X-Forwarded-For
    is read."""
    web_password: Secret = Secret()
    """Lets everybody who knows it into the web studio, as guests who share one quota. Empty: people come
    in by /studio or an invitation; on this machine alone, without either."""
    web_admin_password: Secret = Secret()
    """Asked for by the administrator's page of the web studio. Empty: Easel makes one at its first start
    and keeps it in admin.password in DATA_DIR."""
    metrics_token: Secret = Secret()
    """What scrapes /metrics sends as a bearer token. Empty: only people who are logged in see the numbers."""

    @model_validator(mode="after")
    def _is_not_open_to_all(self) -> Self:
        if not (self.web_password or self.web_url or is_loopback(self.web_host)):
            raise SettingError(
                f"WEB_HOST={self.web_host} opens the web studio to the network without a password: "
                "set WEB_URL or WEB_PASSWORD, or WEB_HOST=127.0.0.1."
            )
        return self

    @property
    def web_is_open(self) -> bool:
        """Whether the web studio is for this machine alone, so that nobody logs in."""
        outside = self.web_url and not is_loopback(urlsplit(self.web_url).hostname or "")
        return not (self.web_password or outside) and is_loopback(self.web_host)

    @property
    def web_address(self) -> str:
        """The address that links begin with; empty where it is known once the port is, or to nobody."""
        if self.web_url:
            return self.web_url
        host = f"[{self.web_host}]" if ":" in self.web_host else self.web_host
        return f"http://{host}:{self.web_port}" if self.web_port and is_loopback(self.web_host) else ""

    @property
    def admin_password_file(self) -> Path:
        """Where the password of the administrator's page stands if no setting gives it."""
        return self.data_dir / "admin.password"
