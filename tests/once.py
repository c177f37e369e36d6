"""What is the same for every studio of the tests, worked out once a process."""

from __future__ import annotations

import copy
import json
from types import CodeType
from typing import Any

from jinja2.bccache import Bucket, BytecodeCache


class Compiled(BytecodeCache):
    """The templates that were compiled, by their name and source."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


def translate_once(kind: Any) -> None:
    """Let equal commands of Discord share what they are in every language."""
    translate, known = kind.get_translated_payload, dict[str, Any]()

    async def translated(self: Any, tree: Any, translator: Any) -> Any:
        key = json.dumps([type(translator).__qualname__, self.to_dict(tree)], sort_keys=True)
        if key not in known:
            known[key] = await translate(self, tree, translator)
        return copy.deepcopy(known[key])

    kind.get_translated_payload = translated
