"""Traces a picture to paths in a process of its own. Run as a script: options and a PNG in, SVG out.

vtracer holds Python's lock while it works, so in a thread it would hold up the event loop.
"""

from __future__ import annotations

import json
import sys

import vtracer


def main() -> None:
    picture = sys.stdin.buffer.read()
    sys.stdout.write(vtracer.convert_raw_image_to_svg(picture, img_format="png", **json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
