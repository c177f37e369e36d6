"""What workers import: the fork server of the tests imports it once for all of them."""

# ruff: noqa: F401

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import BertModel, BertTokenizer

import engine.workers.loop
