"""The API as an OpenAPI document and as a page, from the declarations that requests are read by."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from bot.adapters.api.fields import EASEL, EXTENSIONS, OPENAI, WITHOUT_EFFECT
from bot.options import Option
from bot.prompts.draft import MOST_IMAGES

_TYPES = {"text": "string", "picture": "string"}  # the others are named as JSON names them
_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_USAGE = {
    "type": "object",
    "description": "Tokens, of which there are none; easel.gpu_seconds tells what was charged.",
    "required": ["input_tokens", "output_tokens", "total_tokens", "input_tokens_details"],
    "properties": {
        **dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), _NUMBER),
        "input_tokens_details": {
            "type": "object",
            "properties": {"text_tokens": _NUMBER, "image_tokens": _NUMBER},
        },
    },
}
_EASEL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "job": _TEXT,
        "model": _TEXT,
        "size": _TEXT,
        "seeds": {"type": "array", "items": _NUMBER},
        "gpu_seconds": {"type": "number"},
        "relaxed": {"type": "boolean"},
        "note": {**_TEXT, "description": "What is not as it was asked for."},
        "ignored": {"type": "array", "items": _TEXT, "description": "Fields that had no effect."},
    },
}
_IMAGES = {
    "type": "object",
    "required": ["created", "data"],
    "properties": {
        "created": _NUMBER,
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"b64_json": _TEXT, "url": _TEXT, "revised_prompt": _TEXT},
            },
        },
        "background": _TEXT,
        "output_format": _TEXT,
        "size": _TEXT,
        "usage": _USAGE,
        "easel": _EASEL,
    },
}
_JOB = {
    "type": "object",
    "required": ["id", "object", "status", "data"],
    "properties": {
        "id": _TEXT,
        "object": {"const": "job"},
        "status": {"enum": ["queued", "in_progress", "completed", "failed", "cancelled"]},
        "created": _NUMBER,
        "reason": {**_TEXT, "description": "Why it failed."},
        "data": {"type": "array", "items": {"type": "object", "properties": {"url": _TEXT}}},
        "webhook_secret": {**_TEXT, "description": "What your key's webhooks are signed with."},
        **{name: _EASEL["properties"][name] for name in ("model", "seeds", "gpu_seconds", "relaxed", "note")},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": _TEXT,
            },
        }
    },
}
_MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": _TEXT,
        "object": {"const": "model"},
        "created": _NUMBER,
        "owned_by": _TEXT,
        "title": _TEXT,
        "licence": _TEXT,
    },
}
_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "The image to change, or to start from. Repeat it for more images, five at most.",
}
_MASK_TEXT = (
    "A PNG of the size of the one image: what is transparent in it is changed, and all else stays as it is."
)
_MASK = {"type": "string", "format": "binary", "description": _MASK_TEXT}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 255},
    "description": "The same key and body ask for the same job, however often they are sent.",
}


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    generation = _body("CreateImage")
    form = {"multipart/form-data": {"schema": {"$ref": "#/components/schemas/EditImage"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Easel",
            "version": "1",
            "description": "OpenAI's images API for an Easel: a key asks as its person does in chat, in the "
            "same queue, with the same quota and rules.",
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/images/generations": {"post": _painting("createImage", "Create images", generation)},
            "/v1/images/edits": {
                "post": _painting("createImageEdit", "Change an image", {**form, **_body("EditImageJson")})
            },
            "/v1/jobs": {"post": _queueing(generation)},
            "/v1/jobs/{job}": {
                "parameters": [{"name": "job", "in": "path", "required": True, "schema": _TEXT}],
                "get": _asking("retrieveJob", "Show a job", "Job"),
                "delete": _asking("cancelJob", "Cancel a job", "Job"),
            },
            "/v1/models": {"get": _asking("listModels", "List the models", "Models")},
            "/v1/models/{model}": {
                "get": {
                    **_asking("retrieveModel", "Show a model", "Model"),
                    "parameters": [{"name": "model", "in": "path", "required": True, "schema": _TEXT}],
                }
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Any]:
    properties = {each.name: _schema(each) for each in (*OPENAI, *WITHOUT_EFFECT, *EASEL)}
    properties |= {name: _schema(option) for name, option in EXTENSIONS.items()}
    reference = {"type": "object", "properties": {"image_url": {**_TEXT, "description": "A data: URL."}}}
    images = {"type": "array", "minItems": 1, "maxItems": MOST_IMAGES, "items": reference}
    return {
        "CreateImage": {"type": "object", "required": ["prompt"], "properties": properties},
        "EditImage": {
            "type": "object",
            "required": ["prompt", "image"],
            "properties": {**properties, "image": _IMAGE, "mask": _MASK},
        },
        "EditImageJson": {
            "type": "object",
            "required": ["prompt", "images"],
            "properties": {**properties, "images": images, "mask": {**reference, "description": _MASK_TEXT}},
        },
        "Images": _IMAGES,
        "Job": _JOB,
        "Model": _MODEL,
        "Models": {
            "type": "object",
            "required": ["object", "data"],
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
            },
        },
        "Error": _ERROR,
    }


def _schema(option: Option) -> dict[str, Any]:
    found: dict[str, Any] = {"type": _TYPES.get(option.kind, option.kind), "description": str(option.help)}
    if option.choices:
        found["enum"] = list(option.choices)
    for name, bound in (("minimum", option.minimum), ("maximum", option.maximum)):
        if bound is not None and option.kind in ("integer", "number"):
            found[name] = bound
    if option.maximum is not None and option.kind in ("text", "picture"):
        found["maxLength"] = int(option.maximum)
    if option.several:
        return {"description": found.pop("description"), "anyOf": [found, {"type": "array", "items": _TEXT}]}
    return found


def _body(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _painting(id: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    answer = {**_body("Images"), "text/event-stream": {"schema": _TEXT}}
    return {
        "operationId": id,
        "summary": summary,
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "The images", "content": answer}, **_failures()},
    }


def _queueing(content: dict[str, Any]) -> dict[str, Any]:
    answer = {"202": {"description": "The job that was accepted", "content": _body("Job")}}
    found = _painting("createJob", "Create images without waiting for them", content)
    return {**found, "responses": {**answer, **_failures()}}


def _asking(id: str, summary: str, schema: str) -> dict[str, Any]:
    return {
        "operationId": id,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": _body(schema)}, **_failures()},
    }


def _failures() -> dict[str, Any]:
    return {"default": {"description": "What is wrong, in one sentence", "content": _body("Error")}}


@cache
def page() -> str:
    """Return the document as a page without a script."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Easel API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>'
        f"<h1>Easel API</h1><p>{escape(document()['info']['description'])}</p>"
        "<p>Send a key as <code>Authorization: Bearer …</code>; <code>/api create</code> in chat makes one. "
        '<a href="/v1/openapi.json">openapi.json</a> is the same for programs.</p>'
        f"{''.join(_operations())}</body></html>"
    )


def _operations() -> Iterator[str]:
    schemas = document()["components"]["schemas"]
    for path, methods in document()["paths"].items():
        for method in ("post", "get", "delete"):
            if not (operation := methods.get(method)):
                continue
            yield f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(operation['summary'])}</p>"
            for body in operation.get("requestBody", {}).get("content", {}).items():
                name = body[1]["schema"]["$ref"].rpartition("/")[2]
                yield f"<h3>{escape(body[0])}</h3><table>{''.join(_rows(schemas[name]))}</table>"


def _rows(schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema["properties"].items():
        needed = " (required)" if name in schema["required"] else ""
        values = ", ".join(map(str, field.get("enum", [field.get("type", "")])))
        cells = (name + needed, values, field.get("description", ""))
        yield f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in cells)}</tr>"
