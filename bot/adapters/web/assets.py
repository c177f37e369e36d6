"""The page's own files, under names that change with their content, so that they are cached for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    url: str
    type: str
    body: bytes


def load(folder: Path = FOLDER) -> Mapping[str, Asset]:
    """Return every file in the folder by its path."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.*"))}
    return {name: _load(name, path) for name, path in paths.items() if path.suffix in TYPES}


def _load(name: str, path: Path) -> Asset:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(f"/static/{digest}/{name}", TYPES[path.suffix], body)
