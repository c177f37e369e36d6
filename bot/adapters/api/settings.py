"""The API's settings; it is served on the web studio's port."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bot.adapters.web.settings import WebSettings, networks
from bot.settings import Several


class ApiSettings(WebSettings):
    """How much programs may ask."""

    api_requests: Annotated[int, Field(ge=0, le=100_000)] = 60
    """Requests a minute that one key of the API may make, beside its person's quota; 0 switches the API
    off."""
    api_webhook_networks: Annotated[Several, AfterValidator(networks)] = ()
    """Private networks that webhooks of the API may reach, as in 10.0.0.0/8. Empty: public addresses
    alone."""
