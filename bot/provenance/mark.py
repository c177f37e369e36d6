"""An invisible mark in the pixels of a picture: a number that survives JPEG, WebP, resizing and small crops.

Everything lies in frame coordinates, as fractions of the whole picture, so a resized copy needs no search.

- The number's code word (`code.py`) is spread over a grid of chips; each carries one coded bit times a keyed
  sign.
- A pilot of keyed sinusoids tells a crop: how large the cut is, by where the peaks of its spectrum lie, and
  which part it is, by their phases.
- Flat areas get at most FLAT levels each way, busy ones up to BUSY. Before, channels are drawn in from 0 and
  255 by as much, so that white keeps the mark too.
- Bits that the picture itself opposes get more energy (informed embedding).

A mark is believed when its checksum holds and its word fits: the checksum alone would be wrong too often.
Spread spectrum and informed embedding: Cox et al., "Digital Watermarking and Steganography".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bot.provenance import code
from bot.provenance.code import Floats

GRIDS = (128, 64)  # chips a side: for pictures whose shorter side is at least SMALL pixels, and for others
SMALL = 320
SMALL_GAIN = 1.25  # pictures below SMALL have few chips, so each is stronger
TONES = 36
PILOT = 0.28  # the pilot's share of the energy
FLAT, BUSY, SLOPE = 1.2, 5.0, 0.35  # levels: FLAT + SLOPE × local deviation, at most BUSY
WHITE, WHITE_ABOVE = 0.5, 250  # instead of FLAT where the picture is white: it stays within one level
MEAN_STRENGTH = 2.65  # levels, at most: bounds the noise in all
MOST_NOISE = 2.0  # levels, root mean square over all channels: a PSNR of 42.1 dB
FIT = 0.60  # least fit of a word that is believed; of 40,800 words in unmarked pictures the best had .63
CROP_SIZES = np.arange(0.5, 1.0001, 0.004)
"""Sizes of a cut that are tried, as fractions of the whole."""

Part = tuple[float, float, float, float]
"""Left, top, width and height of a cut, as fractions of the whole picture."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark that was found."""

    number: int
    fit: float  # 0 … 1
    cropped: bool


# ---- embedding


def embed(picture: Image.Image, number: int, key: bytes) -> Image.Image:
    """Return the picture with a mark of `number` (0 … 2^48 − 1). Transparency is kept."""
    colours = _on_white(picture)
    grid, side = _grid(picture.size), 2 * _grid(picture.size)
    how = Image.Resampling.BOX if min(picture.size) >= side else Image.Resampling.BICUBIC
    raster = _resized(_luma(colours), (side, side), how)
    strength = _strength(raster) * (1.0 if grid == GRIDS[0] else SMALL_GAIN)
    strength *= min(1.0, MEAN_STRENGTH / float(np.sqrt(np.mean(strength**2))))
    pattern = _pattern(raster, strength, code.encode(number), key, grid)
    marked = _applied(colours, pattern, strength)
    if (excess := _noise(colours, marked) / MOST_NOISE) > 1 and grid == GRIDS[0]:
        marked = _applied(colours, pattern, strength / excess)
    return _seen_through(picture, colours, marked) if "A" in picture.getbands() else marked


def _seen_through(picture: Image.Image, before: Image.Image, marked: Image.Image) -> Image.Image:
    """Return a picture with alpha and the mark in what can be seen of it, which lay on white for marking."""
    own = np.array(picture.convert("RGBA"))
    change = np.asarray(marked, np.int16) - np.asarray(before, np.int16)
    changed = np.clip(own[..., :3].astype(np.int16) + change, 0, 255).astype(np.uint8)
    own[..., :3] = np.where(own[..., 3:] > 0, changed, own[..., :3])
    return Image.fromarray(own)


def _pattern(raster: Floats, strength: Floats, word: Floats, key: bytes, grid: int) -> Floats:
    """Return the mark at two samples a chip, about −1 … 1, with energy where the picture opposes it."""
    owner, sign, _, _ = _layout(key, grid)
    room = np.clip(raster, strength, 255 - strength)
    energy = np.ones(code.LENGTH, np.float32)
    pattern = np.zeros_like(raster)
    for _ in range(4):
        chips = ((energy * word)[owner] * sign).reshape(grid, grid)
        spread = _resized(chips, (2 * grid, 2 * grid))
        pattern = np.sqrt(1 - PILOT) * spread + np.sqrt(PILOT) * _pilot(key, grid)
        pattern = np.clip(pattern, -1.6, 1.6).astype(np.float32)
        margin = _soft_bits(_whitened(room + strength * pattern), key, grid) * word
        energy *= np.exp(np.clip(0.5 * (0.95 - margin), -0.3, 0.5))
        energy = np.clip(energy / np.sqrt(np.mean(energy**2)), 0.35, 2.0)
    return pattern


def _applied(picture: Image.Image, pattern: Floats, strength: Floats) -> Image.Image:
    """Return the RGB picture with the pattern added, never above the strength allowed at a place."""
    allowed = _resized(strength, picture.size, Image.Resampling.BILINEAR)[..., None]
    change = np.clip(_resized(pattern, picture.size), -1, 1)[..., None]
    colours = np.asarray(picture, np.float32)
    marked = np.clip(colours, allowed, 255 - allowed) + allowed * change
    return Image.fromarray(np.clip(np.rint(marked), 0, 255).astype(np.uint8))


def _noise(before: Image.Image, after: Image.Image) -> float:
    """Return the root mean square of the change, in levels."""
    change = np.asarray(after, np.float32) - np.asarray(before, np.float32)
    return float(np.sqrt(np.mean(change * change)))


def _strength(raster: Floats) -> Floats:
    """Return the levels that each sample may bear. Erosion keeps outlines from leaking into flat areas."""
    residual = raster - _box(raster, 2)
    deviation = np.pad(np.sqrt(_box(residual * residual, 2)), 2, mode="edge")
    height, width = raster.shape
    rows = np.minimum.reduce([deviation[i : i + height] for i in range(5)])
    least = np.minimum.reduce([rows[:, i : i + width] for i in range(5)])
    flat = np.where(_box(raster, 2) > WHITE_ABOVE, WHITE, FLAT)
    strength: Floats = np.minimum(flat + SLOPE * least, BUSY).astype(np.float32)
    return strength


# ---- the keyed layout


@lru_cache(4)
def _layout(key: bytes, grid: int) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Return the coded bit and the sign of each chip, and the tones' frequencies (TONES, 2) and phases."""
    dice = np.random.default_rng(list(hashlib.sha256(key + bytes([grid])).digest()))
    owner = dice.permutation(np.arange(grid * grid) % code.LENGTH)
    sign = dice.choice(np.array([-1, 1], np.float32), grid * grid)
    tones: list[tuple[int, int]] = []
    low, high = 0.14 * grid, 0.34 * grid
    while len(tones) < TONES:
        across, down = (int(each) for each in dice.integers(int(-high), int(high), 2))
        fits = low < np.hypot(across, down) < high and across > 3 and abs(down) > 3
        if fits and (across, down) not in tones:
            tones.append((across, down))
    phases = dice.uniform(0, 2 * np.pi, TONES).astype(np.float32)
    return owner, sign, np.array(tones, np.float32), phases


@lru_cache(4)
def _pilot(key: bytes, grid: int) -> Floats:
    """Return the sum of the tones at two samples a chip, of deviation 1."""
    _, _, tones, phases = _layout(key, grid)
    at = (np.arange(2 * grid) + 0.5) / (2 * grid)
    across, down = (np.exp(2j * np.pi * np.outer(tones[:, axis], at)) for axis in (0, 1))
    total = np.einsum("t,ty,tx->yx", np.exp(1j * phases), down, across).real
    pilot: Floats = (total / np.sqrt(TONES / 2)).astype(np.float32)
    return pilot


# ---- detection


def detect(picture: Image.Image, key: bytes) -> Mark | None:
    """Return the mark in a picture, or None. A crop is searched only where the whole shows no mark."""
    luma = _luma(_on_white(picture))
    rasters = {grid: _raster(luma, grid) for grid in GRIDS}
    whole = [_soft_bits(_whitened(raster), key, grid) for grid, raster in rasters.items()]
    if found := _best(whole, cropped=False):
        return found
    cuts = [
        _soft_bits_of_cut(raster, part, key, grid)
        for grid, raster in rasters.items()
        for part in _parts(raster, key, grid)
    ]
    return _best(cuts, cropped=True)


def _best(words: list[Floats], *, cropped: bool) -> Mark | None:
    for number, fit in code.decode(np.stack(words)):
        if number is not None and fit >= FIT:
            return Mark(number, fit, cropped)
    return None


def _soft_bits(whitened: Floats, key: bytes, grid: int) -> Floats:
    """Return how strongly a raster speaks for each coded bit, of deviation 1."""
    owner, sign, _, _ = _layout(key, grid)
    rows = whitened[::2] + whitened[1::2]
    pairs = (rows[:, ::2] + rows[:, 1::2]) / 4
    chips = np.clip(pairs, -1.5, 1.5).ravel() * sign
    count = np.bincount(owner, minlength=code.LENGTH)
    soft = np.bincount(owner, chips, code.LENGTH) / np.sqrt(count)
    bits: Floats = (soft / (soft.std() + 1e-9)).astype(np.float32)
    return bits


def _soft_bits_of_cut(raster: Floats, part: Part, key: bytes, grid: int) -> Floats:
    """Return the soft bits of a picture that was cut out of a larger one, put back where it was."""
    left, top, width, height = part
    inner = (left + 0.01, top + 0.01, width - 0.02, height - 0.02)
    inside = _put_back(np.ones_like(raster), inner) > 0.5
    return _soft_bits(_whitened(_put_back(raster, part)) * inside, key, grid)


def _put_back(raster: Floats, part: Part) -> Floats:
    side = raster.shape[0]
    left, top, width, height = part
    matrix = (1 / width, 0, -left * side / width, 0, 1 / height, -top * side / height)
    placed = Image.fromarray(raster).transform(
        (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    return np.asarray(placed, np.float32)


def _parts(raster: Floats, key: bytes, grid: int, guesses: int = 40, keep: int = 5) -> list[Part]:
    """Return where in the whole picture this one may lie, the likeliest part first.

    A tone of k cycles in the whole has k × f cycles in a cut of width f. So the magnitudes of the spectrum
    tell the size of the cut, and the phases at those frequencies its place.
    """
    _, _, tones, phases = _layout(key, grid)
    spectrum, peaks = _spectrum(raster, grid)
    sizes = [(float(size), float(size)) for size in CROP_SIZES]  # cuts that keep the shape, and
    sizes += _uneven_sizes(peaks, tones, guesses)  # others, where the tones stand out
    rough: list[tuple[float, float]] = []
    for _, size in sorted(((_place(spectrum, tones, phases, size)[0], size) for size in sizes), reverse=True):
        apart = all(max(abs(size[0] - old[0]), abs(size[1] - old[1])) > 0.01 for old in rough)
        if apart and len(rough) <= keep:
            rough.append(size)
    steps = [(across, down) for across in (-0.002, 0, 0.002) for down in (-0.002, 0, 0.002)]
    best = [
        max(_place(spectrum, tones, phases, (size[0] + dx, size[1] + dy), fine=True) for dx, dy in steps)
        for size in rough
    ]
    return [part for _, part in sorted(best, reverse=True)[:keep]]


def _spectrum(raster: Floats, grid: int) -> tuple[NDArray[np.complex128], Floats]:
    """Return the spectrum of a raster, weighed by how it stands out, and the heights of its peaks."""
    side, padded = 2 * grid, 4 * grid
    window = np.hanning(side + 2)[1:-1].astype(np.float32) ** 0.5
    spectrum = np.fft.fft2(_whitened(raster) * np.outer(window, window), (padded, padded))
    power = (np.abs(spectrum) ** 2).astype(np.float32)
    around = _box(np.pad(power, 12, mode="wrap"), 12)[12:-12, 12:-12]
    peaks = np.log1p(power / (around + 1e-9)).astype(np.float32)
    return spectrum / (np.abs(spectrum) + np.sqrt(around) + 1e-9), peaks


def _uneven_sizes(peaks: Floats, tones: Floats, count: int) -> list[tuple[float, float]]:
    """Return the widths and heights of a cut at which the tones stand out most."""
    padded = peaks.shape[0]
    columns, rows = (
        np.rint(2 * np.outer(CROP_SIZES, tones[:, axis])).astype(int) % padded for axis in (0, 1)
    )
    score = np.zeros((len(CROP_SIZES), len(CROP_SIZES)), np.float32)
    for tone in range(TONES):
        score += peaks[rows[:, tone][:, None], columns[:, tone][None, :]]
    found = []
    for _ in range(count):
        down, across = np.unravel_index(int(np.argmax(score)), score.shape)
        score[max(0, down - 2) : down + 3, max(0, across - 2) : across + 3] = -1
        found.append((float(CROP_SIZES[across]), float(CROP_SIZES[down])))
    return found


def _place(
    spectrum: NDArray[np.complex128],
    tones: Floats,
    phases: Floats,
    size: tuple[float, float],
    *,
    fine: bool = False,
) -> tuple[float, Part]:
    """Return how well the tones' phases agree on one place for a cut of this size, and that place."""
    padded, side = spectrum.shape[0], 96
    across, down = tones[:, 0].astype(int), tones[:, 1].astype(int)
    column, row = (np.rint(2 * size[axis] * tones[:, axis]).astype(int) for axis in (0, 1))
    # Seen from the middle of the cut, a tone's phase does not depend on the error of its size.
    seen = spectrum[row % padded, column % padded] * np.exp(0.5j * np.pi * (column + row))
    turn = np.conj(seen) * np.exp(1j * phases)
    plane = np.zeros((side, side), np.complex64)
    plane[down % side, across % side] = turn
    field = np.fft.ifft2(plane).real
    spots = np.arange(side) / side
    for axis, share in ((1, size[0]), (0, size[1])):  # the cut lies inside the whole: few places are possible
        outside = np.abs(spots - 0.5) > (1 - min(share, 1)) / 2 + 0.02
        np.moveaxis(field, axis, 0)[outside] = -1
    y, x = np.unravel_index(int(np.argmax(field)), field.shape)
    value, middle = float(field[y, x]) * side * side, (float(x) / side, float(y) / side)
    if fine:
        value, middle = _refined(turn, (across, down), middle, side)
    return value, (middle[0] - size[0] / 2, middle[1] - size[1] / 2, size[0], size[1])


def _refined(
    turn: NDArray[np.complex128],
    tones: tuple[NDArray[np.int64], NDArray[np.int64]],
    middle: tuple[float, float],
    side: int,
) -> tuple[float, tuple[float, float]]:
    """Return the best place near a rough one, to an eighth of its spacing, and how well the tones agree."""
    near = np.arange(-8, 9) / (8 * side)
    waves = [np.exp(2j * np.pi * np.outer(at + near, each)) for at, each in zip(middle, tones, strict=True)]
    close = ((waves[1] * turn) @ waves[0].T).real
    row, column = np.unravel_index(int(np.argmax(close)), close.shape)
    return float(close[row, column]), (middle[0] + float(near[column]), middle[1] + float(near[row]))


# ---- small tools


def _grid(size: tuple[int, int]) -> int:
    return GRIDS[0] if min(size) >= SMALL else GRIDS[1]


def _raster(luma: Floats, grid: int) -> Floats:
    """Return the picture squeezed to two samples a chip."""
    side = 2 * grid
    large = min(luma.shape) >= 2 * side
    return _resized(luma, (side, side), Image.Resampling.BOX if large else Image.Resampling.LANCZOS)


def _on_white(picture: Image.Image) -> Image.Image:
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _luma(picture: Image.Image) -> Floats:
    return np.asarray(picture.convert("L"), np.float32)


def _resized(
    values: Floats, size: tuple[int, int], how: Image.Resampling = Image.Resampling.BICUBIC
) -> Floats:
    """Return values at `size` = (width, height)."""
    return np.asarray(Image.fromarray(values).resize(size, how), np.float32)


def _box(values: Floats, radius: int) -> Floats:
    """Return the mean over a square of 2 × radius + 1 a side, borders repeated."""
    side, (height, width) = 2 * radius + 1, values.shape
    padded = np.pad(values, radius, mode="edge")
    rows = padded[:height].copy()
    for down in range(1, side):
        rows += padded[down : down + height]
    total: Floats = rows[:, :width].copy()
    for across in range(1, side):
        total += rows[:, across : across + width]
    total /= side * side
    return total


def _whitened(raster: Floats) -> Floats:
    """Return what the neighbourhood does not predict, by the local energy: large edges count little."""
    residual = raster - _box(raster, 2)
    root = np.sqrt(_box(residual * residual, 3) + 2.0)
    whitened: Floats = residual / (root * np.sqrt(root))  # to the power 0.75, in a tenth of its time
    return whitened
