"""One file with what a GPU machine needs to train: drawings as WebP, text encoder without unused words.

It carries the autoencoder, since latents belong to one, and needs no network: `--bundle FILE` writes it,
`--from-bundle FILE` begins with it in an empty working folder.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load, save
from tokenizers import Tokenizer
from torch import Tensor

from engine.embedded.training import captions, data, sentences, text

QUALITY, ALPHA_QUALITY = 65, 50
ROUNDED = 4  # bits: the text states differ by less than a hundredth
EMBEDDING = "embeddings.word_embeddings.weight"
UNKNOWN = "[UNK]"
SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")
AUTOENCODER, WEIGHTS = "autoencoder", "diffusion_pytorch_model.safetensors"
TABLES = ("drawings.json", "concepts.json")


def pack(work: Path, file: Path) -> None:
    """Write the bundle; `work` holds the drawings."""
    partial = file.with_name(f"{file.name}.partial")
    with zipfile.ZipFile(partial, "w") as bundle:
        _, _, drawings = data.load(work)
        for row, drawing in enumerate(drawings):
            bundle.writestr(_name(row), webp(drawing))
        for name in TABLES:
            bundle.write(work / name, name, zipfile.ZIP_DEFLATED)
        bundle.write(work / AUTOENCODER / "config.json", f"{AUTOENCODER}/config.json")
        weights = (work / AUTOENCODER / WEIGHTS).read_bytes()
        bundle.writestr(f"{AUTOENCODER}/{WEIGHTS}", halved(weights), zipfile.ZIP_DEFLATED)
        folder = text.folder(work)
        for path in sorted(folder.glob("*.json")):
            bundle.write(path, f"text_encoder/{path.name}", zipfile.ZIP_DEFLATED)
        kept = vocabulary(Tokenizer.from_file(str(folder / "tokenizer.json")), sentences_of(work))
        weights = (folder / "model.safetensors").read_bytes()
        bundle.writestr("text_encoder/kept.json", json.dumps(kept), zipfile.ZIP_DEFLATED)
        bundle.writestr("text_encoder/model.safetensors", pruned(weights, kept), zipfile.ZIP_DEFLATED)
    partial.rename(file)


def unpack(file: Path, work: Path) -> None:
    """Write what `data.prepare` and `text.load_encoder` look for into the working folder."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "bundle.lock").open("w") as lock:  # another process may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (work / "drawings.json").exists():
            _unpack(file, work)


def _unpack(file: Path, work: Path) -> None:
    folder = text.folder(work, fetch=False)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file) as bundle:
        rows = json.loads(bundle.read("drawings.json"))
        packed = [bundle.read(_name(row)) for row in range(len(rows))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            np.save(work / "drawings.npy", np.stack(list(pool.map(_pixels, packed))))
        (work / AUTOENCODER).mkdir(exist_ok=True)
        for name in (WEIGHTS, "config.json"):
            (work / AUTOENCODER / name).write_bytes(bundle.read(f"{AUTOENCODER}/{name}"))
        for name in bundle.namelist():
            if name.startswith("text_encoder/") and name.endswith(".json"):
                (folder / Path(name).name).write_bytes(bundle.read(name))
        kept = json.loads(bundle.read("text_encoder/kept.json"))
        unknown = number_of(Tokenizer.from_file(str(folder / "tokenizer.json")), UNKNOWN)
        weights = whole(bundle.read("text_encoder/model.safetensors"), kept, unknown)
        (folder / "model.safetensors").write_bytes(weights)
        for name in reversed(TABLES):  # the list of drawings comes last: it makes the folder valid
            (work / name).write_bytes(bundle.read(name))


def _name(row: int) -> str:
    return f"drawings/{row:05}.webp"


def webp(drawing: data.Rgba) -> bytes:
    """Return the drawing as lossy WebP (2.3 KB)."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(drawing)).save(out, "WEBP", quality=QUALITY, alpha_quality=ALPHA_QUALITY)
    return out.getvalue()


def _pixels(packed: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(packed)).convert("RGBA"))


def sentences_of(work: Path) -> Iterator[str]:
    """Yield every word that training may say, and the words that people put around them."""
    table, _, _ = data.load(work)
    for concept in table:
        names = captions.names(concept)
        yield " ".join([*names, *concept.tags, *map(captions.plural, names)])
    yield from captions.every_phrase()
    yield from sentences.every_phrase()


def vocabulary(tokenizer: Tokenizer, texts: Iterator[str]) -> list[int]:
    """Return the sorted numbers of all tokens in the sentences, and of the special ones."""
    seen = {number_of(tokenizer, token) for token in SPECIAL}
    for each in texts:
        seen.update(tokenizer.encode(each).ids)
    return sorted(seen)


def number_of(tokenizer: Tokenizer, token: str) -> int:
    """Return the token's number. Raises ValueError where the tokenizer does not know it."""
    if (number := tokenizer.token_to_id(token)) is None:
        raise ValueError(f"the tokenizer has no token {token}")
    return int(number)


def halved(weights: bytes) -> bytes:
    """Return a safetensors file's weights in 16 bits."""
    return bytes(save({name: value.half().contiguous() for name, value in load(weights).items()}))


def pruned(weights: bytes, kept: list[int]) -> bytes:
    """Return the encoder's weights in 16 rounded bits, with only the kept rows of its embedding."""
    tensors = {name: rounded(value) for name, value in load(weights).items() if value.is_floating_point()}
    name = next(name for name in tensors if name.endswith(EMBEDDING))
    tensors[name] = tensors[name][torch.tensor(kept)].contiguous()
    return bytes(save(tensors | {"vocabulary": torch.tensor(load(weights)[name].shape[0])}))


def rounded(weights: Tensor) -> Tensor:
    """Round to 16 bits, the last ROUNDED of which are zero and so take no room in a packed file."""
    bits = weights.half().view(torch.int16).int() + (1 << (ROUNDED - 1))
    return (bits >> ROUNDED << ROUNDED).to(torch.int16).view(torch.float16)


def whole(weights: bytes, kept: list[int], unknown: int) -> bytes:
    """Return the weights with an embedding of full size, where words left out read as `unknown`."""
    tensors = load(weights)
    size = int(tensors.pop("vocabulary"))
    name = next(name for name in tensors if name.endswith(EMBEDDING))
    rows = tensors[name]
    full = rows[kept.index(unknown)].repeat(size, 1)
    full[torch.tensor(kept)] = rows
    return bytes(save(tensors | {name: full}))
