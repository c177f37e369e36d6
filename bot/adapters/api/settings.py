"""The API's settings; it is served on the web studio's port."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bot.adapters.web.settings import WebSettings


class ApiSettings(WebSettings):
    """How much programs may ask."""

    api_requests: Annotated[int, Field(ge=0, le=100_000)] = 60
    """Requests a minute that one key of the API may make, beside its person's quota; 0 switches the API
    off."""
