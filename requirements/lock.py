"""Renew the lock: `make lock` writes uv.lock anew, and from it the lists that pip installs.

`easel.txt` is what Easel needs, with its extras; `quantised.txt` the extras that quantise models, for small
cards alone; `dev.txt` what its tests need besides; `torch.txt` torch as
PyPI has it, with CUDA's libraries on Linux; `torch-cpu.txt` the build for the CPU alone. The hashes of that
one are read from TORCH_INDEX, and kept as they are while the version is the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).parent
HEAD = "# Made by `make lock`.\n"
EXPORT = ("export", "--frozen", "--quiet", "--no-emit-project", "--no-annotate", "--no-header")
CUDA = re.compile(r"(nvidia|cuda)-|triton\b")
CPU_WHEEL = re.compile(r"torch-([\d.]+\+cpu)-cp3\d\d-cp3\d\d-manylinux\w+\.whl#sha256=([0-9a-f]{64})")


def main(uv: str) -> int:
    subprocess.run([uv, "lock", "--upgrade"], check=True)
    easel = exported(uv, "postgres", "s3", "heic")
    dev = exported(uv, "postgres", "s3", "heic", "dev")
    quantised = exported(uv, "postgres", "s3", "heic", "bitsandbytes", "torchao", "gguf", "torchvision")
    (torch,) = [entry for entry in easel if name(entry) == "torch"]
    cuda = [entry for entry in easel if CUDA.match(entry)]
    write("easel.txt", [entry for entry in easel if entry not in (torch, *cuda)])
    write("quantised.txt", [entry for entry in quantised if entry not in easel])
    write("dev.txt", [entry for entry in dev if entry not in easel])
    # Three signs: pip would take `2.13.0+cpu` for `==2.13.0`.
    write("torch.txt", [torch.replace("==", "===", 1), *cuda])
    version = torch.split()[0].removeprefix("torch==") + "+cpu"
    if hashes := cpu_hashes(version):
        write("torch-cpu.txt", [" \\\n    --hash=sha256:".join([f"torch=={version}", *hashes]) + "\n"])
    elif f"torch=={version} " not in (HERE / "torch-cpu.txt").read_text():
        sys.stderr.write(f"Set TORCH_INDEX to an address that has torch {version}, then run this again.\n")
        return 1
    return 0


def exported(uv: str, *extras: str) -> list[str]:
    """Return a list's entries, each with its hashes."""
    chosen = [word for extra in extras for word in ("--extra", extra)]
    text = subprocess.run([uv, *EXPORT, *chosen], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^\S+==.*\n(?:    --hash.*\n)*", text, re.MULTILINE)


def name(entry: str) -> str:
    return entry.partition("==")[0]


def cpu_hashes(version: str) -> list[str]:
    """Return the hashes of the CPU builds that TORCH_INDEX lists; none where it is not set."""
    index = os.environ.get("TORCH_INDEX", "")
    if not index:
        return []
    with urllib.request.urlopen(f"{index.rstrip('/')}/torch/", timeout=60) as page:
        return listed(page.read().decode(), version)


def listed(page: str, version: str) -> list[str]:
    """Return the hashes of a version's builds for Linux on an index's page."""
    return sorted(digest for found, digest in CPU_WHEEL.findall(unquote(page)) if found == version)


def write(file: str, entries: list[str]) -> None:
    (HERE / file).write_text(HEAD + "".join(entries))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
