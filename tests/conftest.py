"""What holds for every test."""

from __future__ import annotations

import os

# As in the workers, and before anything imports torch: threads that spin while they wait for each other make
# tests that share the machine several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
