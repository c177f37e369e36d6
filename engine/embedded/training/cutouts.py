"""Train the network that cuts things out: drawings, whose alpha is known, over every kind of ground.

Pictures are drawings laid over grounds in the size that the network sees. Half of them are
compositions of the shipped model's size that the shipped upscaler, and for some its decoder, have gone
over, as they go over what it delivers. What the model itself has painted on white is cut out by its
colour, and laid over grounds like the drawings.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from engine.embedded import CUTOUT, PIPELINE
from engine.embedded.training import captions, data, grounds, pace
from engine.embedded.training.data import Rgba
from engine.embedded.training.grounds import Brush, halved
from engine.embedded.training.scenes import CANVASES, HUES, held_out_rows, tinted, training_rows
from engine.pipelines.cutout import AlphaNetwork, Cutter, spread
from engine.pipelines.upscale import Upscaler

log = logging.getLogger(__name__)

Rgb = NDArray[np.uint8]
Size = tuple[int, int]  # width and height in pixels

GROUNDS = 300  # of each canvas that are kept to lay drawings on
FRESH = 0.15  # of the pictures with a ground make a new one first
DELIVERED = 2200  # compositions that decoder and upscaler have gone over; some 25 minutes of one core
OWN = 24  # pictures of the shipped model on white
BATCH = 8
RATE = 2.5e-3
GOING_ON = 1.2e-3  # the rate where weights are there already
KEPT = 0.995  # of the moving average of the weights, at each step
VALIDATION = 37  # one in so many drawings is not trained on: to choose between networks by
SHARPEST = 3.0  # times: how much steeper an edge is than that of a drawing enlarged by four
WHITE = 236  # of 255: what is lighter in all colours is white
FIRST_SEED = 40_000
HELD_SEED = 70_000


@dataclass(frozen=True, slots=True)
class Cut:
    """A picture and how much of each pixel belongs to what it shows."""

    pixels: Rgb  # (height, width, 3)
    alpha: NDArray[np.uint8]  # (height, width)


class Mixer:
    """Lays drawings over grounds. The same seed makes the same pictures."""

    def __init__(self, drawings: Sequence[Rgba], seed: int) -> None:
        self.drawings = drawings
        self.rng = random.Random(seed)
        self._numbers = np.random.default_rng(seed)

    def ground(self, size: Size) -> Image.Image:
        """Return a ground of a random kind."""
        kind = self.rng.random()
        if kind < 0.2:
            return Image.new("RGB", size, "white")
        if kind < 0.35:
            return Image.new("RGB", size, self._colour())
        if kind < 0.45:
            return self._faded(size)
        if kind < 0.57:
            return self._clouded(size)
        return self._drawn(size)

    def _colour(self) -> tuple[int, int, int]:
        named = list(captions.BACKGROUNDS.values())
        if self.rng.random() < 0.5:
            return self.rng.choice(named)
        return self.rng.randrange(256), self.rng.randrange(256), self.rng.randrange(256)

    def _faded(self, size: Size) -> Image.Image:
        corners = [self._colour() for _ in range(self.rng.choice((2, 2, 4)))]
        small = Image.new("RGB", (2, 2))
        small.putdata(corners if len(corners) == 4 else [corners[0]] * 2 + [corners[1]] * 2)
        return small.resize(size, Image.Resampling.BICUBIC)

    def _clouded(self, size: Size) -> Image.Image:
        """Return soft blots of two colours, as photographs have behind what is in focus."""
        first, second = (Image.new("RGB", size, self._colour()) for _ in range(2))
        cells = self.rng.choice((3, 6, 12))
        blots = self._numbers.integers(0, 256, (cells, cells), np.uint8)
        return Image.composite(first, second, Image.fromarray(blots).resize(size, Image.Resampling.BICUBIC))

    def _drawn(self, size: Size) -> Image.Image:
        """Return one of the drawn grounds, which the shipped model has learned."""
        place = self.rng.choice(sorted(grounds.GROUNDS))
        hour = self.rng.choice(list(grounds.HOURS))
        if hour == grounds.RAIN and place in grounds.NO_RAIN:
            hour = grounds.DAY
        picture = halved(grounds.GROUNDS[place](Brush(size, self.rng, hour)).image)
        if hour == grounds.RAIN:
            grounds.rain(picture, self.rng)
        if self.rng.random() < 0.2:
            bands = list(picture.split())
            self.rng.shuffle(bands)
            picture = Image.merge("RGB", bands)
        return picture

    def thing(self, side: int, steepness: float = 1.0) -> Image.Image:
        """Return a drawing of that longest side; edges are made steeper after it was enlarged."""
        rgba = self.drawings[self.rng.randrange(len(self.drawings))]
        if self.rng.random() < 0.2:
            rgba = tinted(rgba, self.rng.choice([*HUES, "black", "white"]))
        drawn = Image.fromarray(np.ascontiguousarray(rgba)).convert("RGBa")
        if self.rng.random() < 0.5:
            drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        drawn = drawn.resize((side, side), Image.Resampling.BICUBIC).convert("RGBA")
        if steepness > 1:
            alpha = drawn.getchannel("A").point(
                lambda a: int(min(255, max(0, (a - 127.5) * steepness + 127.5)))
            )
            drawn.putalpha(alpha)
        return drawn

    def laid(self, ground: Image.Image, count: int = 0) -> Cut:
        """Lay so many drawings side by side over a ground, in place; 0 is one, or now and then two.

        Shadows belong to the ground.
        """
        width, height = ground.size
        alpha = Image.new("L", ground.size)
        count = count or self.rng.choice((1, 1, 1, 2))
        across = width >= height
        for index in range(count):
            room = (width / count, height) if across else (width, height / count)
            side = round(min(room) * self.rng.uniform(0.6, 0.95))
            thing = self.thing(side, self.rng.uniform(1, SHARPEST) if side > data.SIDE else 1.0)
            corner = [round(self.rng.uniform(0, max(0, each - side))) for each in room]
            corner[0 if across else 1] += round(index * room[0 if across else 1])
            left, top = corner
            if self.rng.random() < 0.3:
                _shade(ground, (left, top), thing, alpha)
            ground.paste(thing, (left, top), thing)
            shape = thing.getchannel("A")
            alpha.paste(255, (left, top), shape)
        return Cut(np.asarray(ground), np.asarray(alpha))

    def changed(self, cut: Cut) -> Cut:
        """Return the picture mirrored, lighter, darker, noisy or in other colours."""
        pixels, alpha = cut.pixels, cut.alpha
        if self.rng.random() < 0.5:
            pixels, alpha = pixels[:, ::-1], alpha[:, ::-1]
        if self.rng.random() < 0.2:
            pixels = pixels[..., list(self._numbers.permutation(3))]
        if self.rng.random() < 0.3:
            light = self.rng.uniform(0.7, 1.2)
            pixels = np.clip(pixels * np.float32(light), 0, 255).astype(np.uint8)
        if self.rng.random() < 0.2:
            noise = self._numbers.normal(0, self.rng.uniform(1, 6), pixels.shape).astype(np.float32)
            pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
        return Cut(pixels, alpha)


def _shade(ground: Image.Image, corner: tuple[int, int], thing: Image.Image, alpha: Image.Image) -> None:
    """Draw a soft shadow below a thing, but not over others."""
    box = thing.getchannel("A").getbbox()
    if box is None:
        return
    left, foot, across = corner[0] + box[0], corner[1] + box[3], box[2] - box[0]
    dark = Image.new("L", ground.size)
    oval = (left + across * 0.05, foot - across * 0.1, left + across * 0.95, foot + across * 0.1)
    ImageDraw.Draw(dark).ellipse(oval, fill=70)
    dark = dark.filter(ImageFilter.BoxBlur(ground.width // 128))
    dark.paste(0, (0, 0), alpha)
    ground.paste((0, 0, 0), (0, 0), dark)


# --- the shipped model's own ----------------------------------------------------------------


def cut_from_white(pixels: Rgb) -> Rgba | None:
    """Cut a picture on a white ground out by its colour; None where its ground is not all white.

    White that touches the border is ground, white inside is not.
    """
    picture = Image.fromarray(pixels)
    light = picture.convert("RGB").split()
    least = np.minimum.reduce([np.asarray(band) for band in light])
    pale = Image.fromarray(np.where(least > WHITE, 255, 0).astype(np.uint8))
    framed = Image.new("L", (picture.width + 2, picture.height + 2), 255)
    framed.paste(pale, (1, 1))
    ImageDraw.floodfill(framed, (0, 0), 128)
    ground = np.asarray(framed)[1:-1, 1:-1] == 128
    border = np.concatenate([ground[0], ground[-1], ground[:, 0], ground[:, -1]])
    if border.mean() < 0.97 or not 0.2 < ground.mean() < 0.9:
        return None
    alpha = Image.fromarray(np.where(ground, 0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(1))
    return np.dstack([pixels, np.asarray(alpha)])


def own_pictures(count: int) -> list[Rgb]:
    """Let the shipped model paint common things, which it puts on white; return what it delivers."""
    from engine.embedded import evaluate

    painter = evaluate.Painter.load(PIPELINE, evaluate.EvaluationSettings())
    names = random.Random(FIRST_SEED).sample(sorted(captions.COMMON), count)
    pictures = painter.draw([captions.article(name) for name in names], FIRST_SEED)
    return [_enlarged(Upscaler.load(), picture) for picture in pictures]


# --- what is learned from -------------------------------------------------------------------


def _enlarged(upscaler: Upscaler, picture: Tensor) -> Rgb:
    return _bytes(upscaler(picture[None])[0])


def _bytes(picture: Tensor) -> Rgb:
    return (picture * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def _tensor(pixels: Rgb) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


class Delivery:
    """Makes of a small composition what Easel would deliver: its decoder's, enlarged by its upscaler."""

    def __init__(self) -> None:
        from diffusers import AutoencoderKL

        self._vae: Any = AutoencoderKL.from_pretrained(PIPELINE / "vae", torch_dtype=torch.float32).eval()
        self._upscaler = Upscaler.load()

    @torch.no_grad()
    def __call__(self, cut: Cut, *, decoded: bool) -> Cut:
        """Return picture and alpha in the delivered size, gone over by the decoder where asked."""
        small = _tensor(cut.pixels)
        if decoded:
            latents = self._vae.encode(small[None] * 2 - 1).latent_dist.mode()
            small = (self._vae.decode(latents).sample[0] / 2 + 0.5).clamp(0, 1)
        grey = _tensor(np.repeat(cut.alpha[..., None], 3, 2))
        return Cut(_enlarged(self._upscaler, small), _enlarged(self._upscaler, grey)[..., 0])


TWICE = 2  # times the shipped model's size: what the network looks at
SIZES = [(width * TWICE, height * TWICE) for width, height in CANVASES.values()]


def _halved(cut: Cut) -> Cut:
    pixels, alpha = Image.fromarray(cut.pixels).reduce(2), Image.fromarray(cut.alpha).reduce(2)
    return Cut(np.asarray(pixels), np.asarray(alpha))


class TrainingSet:
    """Batches of pictures with their alpha."""

    def __init__(self, work: Path, seed: int = FIRST_SEED) -> None:
        _table, rows, pixels = data.load(work)
        self.mixer = Mixer([pixels[row] for row in _taught_rows(rows)], seed)
        self.rng = self.mixer.rng
        self.own = [cut for each in _kept_own(work) if (cut := cut_from_white(each)) is not None]
        log.info("%d pictures of the model are on white", len(self.own))
        self.grounds = {size: [self.mixer.ground(size) for _ in range(GROUNDS)] for size in SIZES}
        self.delivered = {size: _kept_delivered(work, self.mixer, size) for size in SIZES}
        log.info("the training set is there")

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return pictures and their alpha, `float32[BATCH, 3 and 1, height, width]`."""
        size = self.rng.choices(SIZES, (6, 2, 2))[0]
        cuts = [self.mixer.changed(self._cut(size)) for _ in range(BATCH)]
        pixels = torch.stack([_tensor(cut.pixels) for cut in cuts])
        alpha = torch.stack([_tensor(cut.alpha[..., None]) for cut in cuts])
        return pixels, alpha

    def _cut(self, size: Size) -> Cut:
        kind = self.rng.random()
        if kind < 0.5:
            return self.rng.choice(self.delivered[size])
        if self.rng.random() < FRESH:
            self.grounds[size][self.rng.randrange(GROUNDS)] = self.mixer.ground(size)
        ground = self.rng.choice(self.grounds[size]).copy()
        if kind < 0.56 and self.own:
            return _own_over(self.rng.choice(self.own), ground, self.rng)
        if kind < 0.75:
            return _delivered_over(self.rng.choice(self.delivered[size]), ground)
        return self.mixer.laid(ground)


def _own_over(own: Rgba, ground: Image.Image, rng: random.Random) -> Cut:
    side = round(min(ground.size) * rng.uniform(0.7, 1.0))
    thing = Image.fromarray(own).resize((side, side), Image.Resampling.BICUBIC)
    corner = rng.randint(0, ground.width - side), rng.randint(0, ground.height - side)
    alpha = Image.new("L", ground.size)
    alpha.paste(thing.getchannel("A"), corner)
    if rng.random() < 0.5:
        ground = Image.new("RGB", ground.size, "white")
    ground.paste(thing, corner, thing)
    return Cut(np.asarray(ground), np.asarray(alpha))


def _delivered_over(cut: Cut, ground: Image.Image) -> Cut:
    """Lay what was delivered over another ground."""
    alpha = _tensor(cut.alpha[..., None])
    colours = spread(_tensor(cut.pixels), alpha[0])
    return Cut(_bytes(colours * alpha + _tensor(np.asarray(ground)) * (1 - alpha)), cut.alpha)


def _taught_rows(rows: Sequence[data.Drawing]) -> list[int]:
    return [row for row in training_rows(rows) if row % VALIDATION]


def _kept_delivered(work: Path, mixer: Mixer, size: Size) -> list[Cut]:
    """Return compositions as they are delivered, in the network's size; made once."""
    path = work / f"cutout-delivered-{size[0]}x{size[1]}.npz"
    if not path.exists():
        delivery, cuts = Delivery(), []
        for index in range(DELIVERED // len(SIZES)):
            small = mixer.laid(mixer.ground((size[0] // TWICE, size[1] // TWICE)))
            cuts.append(_halved(delivery(small, decoded=index % 7 == 0)))
        np.savez(path, pixels=np.stack([c.pixels for c in cuts]), alpha=np.stack([c.alpha for c in cuts]))
    with np.load(path) as kept:
        return [Cut(pixels, alpha) for pixels, alpha in zip(kept["pixels"], kept["alpha"], strict=True)]


def _kept_own(work: Path) -> Sequence[Rgb]:
    path = work / "cutout-own.npy"
    if not path.exists():
        np.save(path, np.stack(own_pictures(OWN)))
    return list(np.load(path))


# --- training -------------------------------------------------------------------------------


def loss(logits: Tensor, alpha: Tensor) -> Tensor:
    """Return how far the network is from the alpha, pixel by pixel and as intersection over union."""
    entropy = F.binary_cross_entropy_with_logits(logits, alpha)
    found = torch.sigmoid(logits)
    both, either = (each(found, alpha).sum((1, 2, 3)) for each in (torch.minimum, torch.maximum))
    return entropy + (found - alpha).abs().mean() + 0.3 * (1 - (both + 1) / (either + 1)).mean()


def train(work: Path, minutes: float, folder: Path = CUTOUT) -> None:
    """Train for so many minutes, from the last checkpoint on, and write the network's weights to `folder`."""
    work.mkdir(parents=True, exist_ok=True)
    taught = TrainingSet(work)
    torch.manual_seed(FIRST_SEED)
    network, highest = AlphaNetwork(), RATE
    if (kept := work / "cutout" / "alpha.safetensors").exists():
        network.load_state_dict({name: each.float() for name, each in load_file(kept).items()}, strict=False)
        highest = GOING_ON
        log.info("going on from %s", kept)
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=highest, weight_decay=1e-3)
    begun, step, mean = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = highest * min(1.0, (step + 1) / 50) * (1 - done**2) ** 1.5
        found = _step(network, optimiser, *taught.batch())
        mean = found if step == 0 else 0.98 * mean + 0.02 * found
        step += 1
        _average(averaged, network, min(KEPT, step / (10 + step)))
        if step % 50 == 0:
            log.info("step %d, %.0f %% of the time, loss %.4f", step, 100 * done, mean)
        if step % 100 == 0:
            save(averaged, work / "cutout")
    save(averaged, folder)
    log.info("held out: %s", {name: round(value, 4) for name, value in figures(work, 60).items()})


def _step(network: AlphaNetwork, optimiser: torch.optim.Optimizer, pixels: Tensor, alpha: Tensor) -> float:
    network.train()
    optimiser.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=pace.CPU_HAS_BFLOAT16):
        logits = network(pixels.to(memory_format=torch.channels_last))
    found = loss(logits.float(), alpha)
    found.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(found.detach())


def _average(averaged: dict[str, Tensor], network: AlphaNetwork, kept: float) -> None:
    """Move the average of the weights, and of what normalises, a little towards the newest."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                averaged[name].lerp_(value, 1 - kept)


def save(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write the weights in 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.half().contiguous()
        for name, value in weights.items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, folder / "alpha.safetensors")


# --- figures --------------------------------------------------------------------------------


def figures(work: Path, count: int = 500, cutter: Cutter | None = None) -> dict[str, float]:
    """Cut a drawing that was kept aside out of each of so many grounds; return how well that went.

    The pictures are what Easel would deliver: enlarged by the shipped upscaler, and the alpha alike.
    """
    _table, rows, pixels = data.load(work)
    mixer = Mixer([pixels[row] for row in held_out_rows(rows)], HELD_SEED)
    cutter, delivery = cutter or Cutter.load(), Delivery()
    overlaps, errors, seconds = [], [], []
    sizes = list(CANVASES.values())
    for _ in range(count):
        size = mixer.rng.choices(sizes, (6, 2, 2))[0]
        cut = delivery(mixer.laid(mixer.ground(size), count=1), decoded=False)
        given = _tensor(cut.pixels)
        begun = time.perf_counter()
        found = cutter(given).numpy()
        seconds.append(time.perf_counter() - begun)
        overlaps.append(overlap(found, cut.alpha / 255))
        errors.append(float(np.abs(found - cut.alpha / 255).mean()))
    return {
        "iou": float(np.mean(overlaps)),
        "iou, the worst tenth": float(np.mean(sorted(overlaps)[: max(1, count // 10)])),
        "alpha error": float(np.mean(errors)),
        "seconds": float(np.median(seconds)),
    }


def overlap(found: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
    """Return the intersection of what is more than half opaque over its union."""
    first, second = found > 0.5, truth > 0.5
    return float((first & second).sum() / max(1, (first | second).sum()))
