"""`python -m tests.gpu`: Easel's engine on a real card, with random weights at the sizes of real models.

No network and no weights are needed, and nothing of the bot. Figures are printed as they come; the JSON is
written after each section, so that nothing is lost where the time runs out. `--tiny` runs the same code on a
CPU with tiny models: a trial of this script, not a measurement.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import tempfile
from pathlib import Path

# Before anything imports torch; the worker process sets the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: a trial of the script")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--budget", type=float, default=480, help="seconds; what no longer fits is left out")
    parser.add_argument("--only", default="", metavar="NAMES", help="models, parts or model:part, by commas")
    parser.add_argument(
        "--list", action="store_true", help="name the sections and their seconds, run nothing"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="draw the table of a JSON, run nothing")
    options = parser.parse_args()
    if options.report:
        from tests.gpu.results import markdown

        sys.stdout.write(markdown(json.loads(options.report.read_text(encoding="utf-8"))))
        return 0
    faulthandler.dump_traceback_later(options.budget + 60, exit=True)
    return run(options)


def run(options: argparse.Namespace) -> int:
    from engine.pipelines import run as pipelines
    from tests.gpu.plan import Plan

    pipelines.silence_libraries()
    with tempfile.TemporaryDirectory(prefix="easel-gpu-") as folder:
        plan = Plan(options, Path(folder))
        if options.list:
            plan.list()
            return 0
        plan.run()
    faulthandler.cancel_dump_traceback_later()
    return min(plan.results.failures, 100)


if __name__ == "__main__":
    sys.exit(main())
