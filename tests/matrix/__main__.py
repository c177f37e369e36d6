"""`python -m tests.matrix [TITLE …]`: look at all classes, or at some, and write the table if it is whole."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from engine.pipelines.run import silence_libraries
from tests.matrix import HEAD, look
from tests.matrix.table import write
from tests.matrix.twins import TWINS


def main() -> int:
    """Print each row as it comes; return 1 if anything is wrong."""
    silence_libraries()
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or list(TWINS)
    rows = []
    sys.stdout.write(f"{HEAD}\n")
    with torch.no_grad():
        for title in wanted:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(look(title, Path(folder)))
            sys.stdout.write(f"{rows[-1]}\n")
            sys.stdout.flush()
    if wanted == list(TWINS):
        write(rows)
    return int(any(row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main())
