"""Install Easel into a virtual environment, from the lock: `python3 requirements/install.py .venv [--dev]`.

TORCH says which build of torch: `cpu`, `cuda`, or `auto`, which is the build for the CPU on a machine without
an NVIDIA card where it can be found: in what pip is configured to search, or at the address in TORCH_INDEX.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
LINE = re.compile(r"Collecting ([^\s;]+)")


def main(arguments: Sequence[str]) -> int:
    folder, *flags = arguments
    python = Path(folder) / "bin" / "python"
    say(f"making {folder} with Python {platform.python_version()}")
    if subprocess.run([sys.executable, "-m", "venv", folder], check=False).returncode:
        say("no virtual environment could be made: on Debian and Ubuntu, install python3-venv first")
        return 1
    lists = ["easel.txt", *(["dev.txt"] if "--dev" in flags else [])]
    done = (
        torch(python, os.environ.get("TORCH", "auto"), os.environ.get("TORCH_INDEX", ""))
        and packages(python, lists)
        and pip(python, "--no-deps", "--no-build-isolation", "--quiet", "--editable", str(HERE.parent))
    )
    say("installed" if done else "pip could not install everything: its message above tells why")
    return 0 if done else 1


def torch(python: Path, build: str, index: str) -> bool:
    """Install the build of torch that is asked for, or that fits this machine. Return whether it is there."""
    if build not in ("auto", "cpu", "cuda"):
        say(f"TORCH={build} cannot be used: it must be auto, cpu or cuda")
        return False
    if sys.platform != "linux" or build == "cuda" or (build == "auto" and has_card()):
        why = "the build for a GPU, about 3 GB" if sys.platform == "linux" else "the build for macOS"
        say(f"torch: {why}")
        return pip(python, "--no-deps", "--require-hashes", "-r", str(HERE / "torch.txt"))
    say("torch: looking for the build for the CPU alone, about 200 MB")
    where = ["--extra-index-url", index] if index else []
    if pip(python, "--no-deps", "--require-hashes", *where, "-r", str(HERE / "torch-cpu.txt"), loud=False):
        return True
    if build == "cpu" or index:
        asked = f"TORCH_INDEX={index}" if index else "what pip searches"
        say(f"{asked} has no such build for this Python: set TORCH_INDEX to where PyTorch's CPU builds are")
        return False
    say("pip finds none where it searches, so the build for a GPU comes: 3 GB to fetch, 5 GB on disk")
    say("to spare that, press Ctrl-C, and set TORCH_INDEX to where PyTorch's CPU builds are")
    return pip(python, "--no-deps", "--require-hashes", "-r", str(HERE / "torch.txt"))


def has_card() -> bool:
    """Tell whether there is an NVIDIA card that its driver knows."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi")
    return bool(tool) and subprocess.run([str(tool), "-L"], capture_output=True, check=False).returncode == 0


def packages(python: Path, lists: Sequence[str]) -> bool:
    count = sum(len(re.findall(r"^\S+==", (HERE / name).read_text(), re.MULTILINE)) for name in lists)
    say(f"{count} more packages")
    files = [word for name in lists for word in ("-r", str(HERE / name))]
    return pip(python, "--no-deps", "--require-hashes", *files)


def pip(python: Path, *arguments: str, loud: bool = True) -> bool:
    """Run `pip install`, with a line for each package as it is fetched. Return whether it succeeded."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    errors = None if loud else subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as running:
        for line in running.stdout or ():
            if found := LINE.match(line):
                say(f"  {found[1]}")
            elif line.startswith("Installing collected packages"):
                say("  unpacking, which takes up to a minute")
    return running.returncode == 0


def say(line: str) -> None:
    sys.stdout.write(f"Easel: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
