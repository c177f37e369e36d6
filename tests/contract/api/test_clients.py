"""Requests as programs that speak OpenAI's images API send them.

The fields are those of their sources: Open WebUI (`routers/images.py`), LibreChat (`OpenAIImageTools.js`,
`DALLE3.js`), SillyTavern (`extensions/stable-diffusion`), WordPress (`php-ai-client`), and OpenAI's own
clients for Python and Node.
"""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import FormData
from PIL import Image

from tests.contract.api.house import ApiHouse, Program, api_house
from tests.contract.api.test_images import form, png

pytestmark = pytest.mark.asyncio(loop_scope="module")
GENERATE, EDIT = "/v1/images/generations", "/v1/images/edits"
DATA = f"data:image/png;base64,{base64.b64encode(png()).decode()}"


@dataclass(frozen=True)
class Case:
    """A request, and what its sender reads."""

    body: Mapping[str, Any] = field(default_factory=dict)
    path: str = GENERATE
    form: Mapping[str, str] | None = None
    part: str = "image"
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    read: str = "b64_json"
    format: str = "PNG"
    status: int = 200
    transparent: bool = False


WEBUI_HEADERS = {
    "X-OpenWebUI-User-Name": "Ada",
    "X-OpenWebUI-User-Id": "1",
    "X-OpenWebUI-User-Email": "ada@example.org",
    "X-OpenWebUI-User-Role": "user",
}
PYTHON = {
    "Accept": "application/json",
    "User-Agent": "OpenAI/Python 2.3.0",
    "X-Stainless-Lang": "python",
    "X-Stainless-Package-Version": "2.3.0",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Read-Timeout": "600",
    "OpenAI-Organization": "org-1",
}
CASES: dict[str, Case] = {
    # Open WebUI
    "webui": Case(
        {"model": "memory", "prompt": "a fox", "n": 1, "size": "64x64", "response_format": "b64_json"}
    ),
    "webui default model": Case(
        {"model": "dall-e-2", "prompt": "a fox", "n": 1, "size": "512x512", "response_format": "b64_json"}
    ),
    "webui gpt-image": Case({"model": "gpt-image-1", "prompt": "a fox", "n": 1, "size": "1024x1024"}),
    "webui gpt-image-1.5": Case({"model": "gpt-image-1.5", "prompt": "a fox", "n": 2}, count=2),
    "webui auto": Case({"model": "memory", "prompt": "a fox", "n": 1, "size": "auto"}),
    "webui version": Case(
        {"model": "memory", "prompt": "a fox", "n": 1}, query="?api-version=2025-04-01-preview"
    ),
    "webui user": Case({"model": "memory", "prompt": "a fox", "n": 1}, headers=WEBUI_HEADERS),
    "webui parameters": Case(
        {
            "model": "memory",
            "prompt": "a fox",
            "n": 1,
            "steps": 3,
            "negative_prompt": "text",
            "quality": "high",
        }
    ),
    "webui words": Case({"model": "memory", "prompt": 'A "Fox"\n\n- red; {brave, old}\n\n**4k**', "n": 1}),
    "webui four": Case(
        {"model": "memory", "prompt": "a fox", "n": 4, "response_format": "b64_json"}, count=4
    ),
    "webui edit": Case(
        path=EDIT, form={"model": "gpt-image-1", "prompt": "in blue", "n": "1", "size": "64x64"}
    ),
    "webui edit list": Case(path=EDIT, part="image[]", form={"model": "memory", "prompt": "in blue"}),
    "webui edit format": Case(
        path=EDIT, form={"model": "memory", "prompt": "in blue", "response_format": "b64_json"}
    ),
    # LibreChat
    "librechat": Case(
        {
            "model": "gpt-image-1",
            "prompt": "a fox",
            "n": 1,
            "background": "auto",
            "output_format": "png",
            "quality": "auto",
            "size": "auto",
        }
    ),
    "librechat webp": Case(
        {
            "model": "gpt-image-1",
            "prompt": "a fox",
            "n": 1,
            "background": "opaque",
            "output_format": "webp",
            "output_compression": 100,
            "quality": "medium",
            "size": "1024x1024",
        },
        format="WEBP",
    ),
    "librechat jpeg": Case(
        {"model": "gpt-image-1", "prompt": "a fox", "output_format": "jpeg", "output_compression": 80},
        format="JPEG",
    ),
    "librechat transparent": Case(
        {"model": "gpt-image-1", "prompt": "a fox", "background": "transparent"}, transparent=True
    ),
    "librechat dall-e-3": Case(
        {
            "model": "dall-e-3",
            "quality": "standard",
            "style": "vivid",
            "size": "1024x1024",
            "prompt": "a fox",
            "n": 1,
        }
    ),
    "librechat dall-e-3 wide": Case(
        {
            "model": "dall-e-3",
            "quality": "hd",
            "style": "natural",
            "size": "1792x1024",
            "prompt": "a fox",
            "n": 1,
        }
    ),
    "librechat edit": Case(
        path=EDIT,
        part="image[]",
        form={"model": "gpt-image-1", "prompt": "in blue", "quality": "auto", "size": "auto"},
    ),
    "librechat edit quality": Case(
        path=EDIT,
        part="image[]",
        form={"model": "gpt-image-1", "prompt": "in blue", "quality": "high", "size": "1024x1536"},
    ),
    # SillyTavern
    "sillytavern dall-e-2": Case(
        {"prompt": "a fox", "model": "dall-e-2", "n": 1, "size": "256x256", "response_format": "b64_json"}
    ),
    "sillytavern dall-e-3": Case(
        {
            "prompt": "masterpiece, a fox",
            "model": "dall-e-3",
            "size": "1024x1792",
            "n": 1,
            "quality": "hd",
            "style": "vivid",
            "response_format": "b64_json",
        }
    ),
    "sillytavern gpt-image": Case(
        {
            "prompt": "a fox",
            "model": "gpt-image-1",
            "size": "1536x1024",
            "n": 1,
            "quality": "low",
            "moderation": "low",
        }
    ),
    "sillytavern without": Case(
        {
            "prompt": "a fox",
            "model": "chatgpt-image-latest",
            "n": 1,
            "quality": None,
            "style": None,
            "user": None,
        }
    ),
    "sillytavern own size": Case(
        {"prompt": "a fox", "model": "memory", "n": 1, "size": "96x64", "response_format": "b64_json"}
    ),
    # WordPress
    "wordpress": Case({"model": "memory", "prompt": "a fox"}),
    "wordpress count": Case({"model": "memory", "prompt": "a fox", "n": 2}, count=2),
    "wordpress inline": Case({"model": "memory", "prompt": "a fox", "response_format": "b64_json"}),
    "wordpress remote": Case({"model": "memory", "prompt": "a fox", "response_format": "url"}, read="url"),
    "wordpress format": Case(
        {"model": "gpt-image-1", "prompt": "a fox", "output_format": "jpeg", "size": "1536x1024"},
        format="JPEG",
    ),
    "wordpress square": Case({"model": "memory", "prompt": "a fox", "size": "1024x1024", "n": 1}),
    # OpenAI's clients, and curl
    "python": Case({"prompt": "a fox", "model": "memory"}, headers=PYTHON),
    "python extra": Case(
        {"prompt": "a fox", "model": "memory", "seed": 7, "steps": 2, "guidance": 4.5}, headers=PYTHON
    ),
    "python everything": Case(
        {
            "prompt": "a fox",
            "background": "auto",
            "model": "gpt-image-2",
            "moderation": "auto",
            "n": 1,
            "output_compression": 50,
            "output_format": "webp",
            "partial_images": 0,
            "quality": "auto",
            "size": "auto",
            "stream": False,
            "user": "user-1234",
        },
        headers=PYTHON,
        format="WEBP",
    ),
    "python retried": Case(
        {"prompt": "a fox"},
        headers={**PYTHON, "Idempotency-Key": "stainless-python-retry-1", "X-Stainless-Retry-Count": "1"},
    ),
    "python edit": Case(
        path=EDIT,
        form={"prompt": "in blue", "model": "gpt-image-1.5", "input_fidelity": "high"},
        headers=PYTHON,
    ),
    "python edit stream": Case(
        path=EDIT, form={"prompt": "in blue", "stream": "false", "partial_images": "0"}
    ),
    "node": Case(
        {"model": "gpt-image-1", "prompt": "a fox", "size": "1024x1024"}, headers={"X-Stainless-Lang": "js"}
    ),
    "edit in json": Case(
        {"model": "gpt-image-1.5", "prompt": "in blue", "images": [{"image_url": DATA}]}, path=EDIT
    ),
    "curl": Case({"prompt": "a fox"}),
    "curl nulls": Case({"prompt": "a fox", "n": None, "size": None, "model": None, "response_format": None}),
    "numbers as texts": Case({"prompt": "a fox", "n": "2", "seed": "7", "output_compression": "90"}, count=2),
    # other servers of the same API
    "vllm-omni": Case(
        {
            "prompt": "a fox",
            "size": "64x64",
            "n": 1,
            "negative_prompt": "text",
            "num_inference_steps": 3,
            "guidance_scale": 4.0,
            "true_cfg_scale": 4.0,
            "seed": 42,
            "response_format": "b64_json",
        }
    ),
    "sglang": Case({"prompt": "a fox", "seed": 1, "num_inference_steps": 2, "generator_device": "cuda"}),
}


assert len(CASES) >= 40


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiHouse]:
    async with api_house(tmp_path_factory.mktemp("clients")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def program(house: ApiHouse) -> Program:
    return await house.program()


@pytest.mark.parametrize("name", CASES)
async def test_a_program_gets_what_it_reads(house: ApiHouse, program: Program, name: str) -> None:
    case = CASES[name]
    data: FormData | None = form(png(), case.part, **case.form) if case.form else None

    said = await program.post(
        case.path + case.query, None if data else dict(case.body), data=data, headers=case.headers
    )

    assert said.status == case.status, said.body
    if case.status != 200:
        assert said.error["message"]
        return
    assert len(said.body["data"]) == case.count
    for image in said.body["data"]:
        raw = (
            await fetched(house, image[case.read])
            if case.read == "url"
            else base64.b64decode(image["b64_json"])
        )
        opened = Image.open(io.BytesIO(raw))
        assert (opened.format, opened.has_transparency_data) == (case.format, case.transparent)
    assert said.body["background"] == ("transparent" if case.transparent else "opaque")


async def fetched(house: ApiHouse, url: str) -> bytes:
    async with house.session.get(url) as response:
        assert response.status == 200
        return await response.read()
