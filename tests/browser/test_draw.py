"""Paper to draw on: what is drawn guides an image."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import expect

from engine.types import GuideInfo
