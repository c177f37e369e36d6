# ruff: noqa: E501 -- a table row in Markdown is one line
"""The model card and the attribution notice, from `sources.toml` and the training log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.embedded.training.data import DataSource, sources

CARD = """# easel-tiny

A very small text-to-image model that ships inside Easel, so that the first run draws real
pictures on a computer with no GPU and no model hub. It knows emoji-like drawings: about 1,250
concepts, each in up to nine styles.

**State.** The denoiser has been trained for {minutes:.0f} minutes on two CPU cores that were shared with
other work ({pictures:,} pictures seen, {steps:,} steps). Common concepts and nine in ten of the rarer ones come
out, in wide and tall pictures too, and so do colours other than a thing's own, pairs, grounds and small counts.
What smears is fine detail: eyes, fingers, thin lines, and in pairs the smaller parts of each thing. Training goes
on from this folder with `python -m engine.embedded.training`.

## Use

```python
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("engine/embedded/pipeline", dtype=torch.float32)
pipeline("a red heart", num_inference_steps=12, guidance_scale=3.0).images[0]  # 128 x 128
```

Width and height are multiples of 32; trained at 128x128, 160x96 and 96x160. The engine enlarges
the result four times (`engine/pipelines/upscale.py`). Image-to-image works with the stock pipeline. The
engine paints a part of a picture with it (`engine/regions.py`); the stock inpaint pipeline accepts
only denoisers with 4 or 9 channels.

Style words: 3d, flat, fluent, glossy, noto, noto v1, blob, twemoji, clip art, emojione, firefox,
streamline, outline. Without one it draws in the 3d / fluent / flat family. Colours ("a green
heart"), grounds ("on a blue background"), pairs ("a cat next to a pizza", "a star above a
house") and small counts ("three apples") were trained, the latter two only with common things.

## What it cannot do

No photographs, no likeness of any person, no legible text, no scenes with more than two kinds of
things, no skin tones, hardly any flags and signs. The styles 3d, fluent, flat and glossy look much
alike; blob, twemoji and those drawn by few come out rough, and fine lines (outline) hardly at all.
In wide and tall pictures single things come out nearly as well as in square ones, but two together
stay rough, above all across the shorter side. Words it never saw draw something near in meaning,
or a mixture. Prompts are cut after {length} tokens. English only.

## Parts

| part | what | parameters |
|---|---|---|
| `text_encoder` | all-MiniLM-L6-v2, frozen; all token states, padding masked | 22.7 M |
| `vae` encoder | principal components of 16x16 patches written into an AutoencoderKL; computed, not trained; 8x8x{channels} latents for 128x128 | 1.8 M |
| `vae` decoder | trained with L1 and gradient L1 | 3.4 M |
| `unet` | two levels of 96 and 128 channels, cross-attention in the deeper one, pooled text | 5.6 M |
| `scheduler` | DDIM, v-prediction, cosine, zero terminal SNR, trailing steps | |

Trained in 32 bits or bfloat16, as the processor at hand is faster, with AdamW (1.5e-3 falling to 3e-5, batches of
16, later up to 128), 10% empty prompts and a moving average of the weights; one drawing in forty is kept aside and
never shown to the denoiser.

## The curve

Loss of the moving average on fixed samples, steps and noise. Each mix of scenes has samples of its own, so
its losses are comparable among themselves only; half an hour of training or so lies between two rows.

{curve}

## Figures

{figures}

## Data, licences, attributions

{attributions}
The drawings were rasterised, recoloured, moved and combined; no drawing is stored in the weights
as such, but a model this small on a set this small can come close to its originals, so keep the
attributions wherever its pictures are used as drawings of their own. The weights of `unet` and
`vae` come under the project's licence; `text_encoder` and `tokenizer` stay Apache-2.0.
"""


def text(
    progress: dict[str, Any], length: int, channels: int, curve: list[dict[str, Any]], figures: str
) -> str:
    """Return the model card; `progress` is the denoiser's, `figures` what evaluation printed."""
    return CARD.format(
        minutes=progress["seconds"] / 60,
        pictures=progress["pictures"],
        steps=progress["step"],
        length=length,
        channels=channels,
        curve=_curve(curve),
        figures=figures,
        attributions=attributions(),
    )


def _curve(rows: list[dict[str, Any]]) -> str:
    lines = (f"| {row['mix']} | {row['pictures']:,} | {row['validation']:.3f} |" for row in rows)
    return "\n".join(["| mix | pictures seen | loss |", "|---|---|---|", *lines])


def figures(path: Path) -> str:
    """Return the figures that evaluation wrote as a Markdown table; a remark when there are none yet."""
    if not path.exists():
        return "Not measured yet."
    rows = ["| figure | value |", "|---|---|"]
    for group, values in json.loads(path.read_text()).items():
        rows.extend(f"| {group}: {name} | {value} |" for name, value in values.items())
    return "\n".join(rows)


def attributions() -> str:
    """Return a Markdown table of every data set and weight."""
    drawings, others = sources()
    head = "| from | package | licence |\n|---|---|---|\n"
    return head + "\n".join(_row(source) for source in [*drawings, *others.values()]) + "\n"


def _row(source: DataSource) -> str:
    return f"| {source.attribution} | `{source.package}` {source.version} | {source.licence} |"
