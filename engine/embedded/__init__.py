"""The small text-to-image model that ships with Easel: weights, training and evaluation."""

from pathlib import Path

PIPELINE = Path(__file__).parent / "pipeline"
UPSCALER = Path(__file__).parent / "upscaler"
CUTOUT = Path(__file__).parent / "cutout"
