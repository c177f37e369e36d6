"""Check the catalogues: `python -m bot.i18n` names every fault, and fails where there is one."""

from __future__ import annotations

import sys

from bot.i18n.catalogs import LANGUAGES, SOURCE, faults

found = [fault for language in LANGUAGES if language != SOURCE for fault in faults(language)]
sys.stderr.writelines(f"{fault}\n" for fault in found)
sys.exit(1 if found else 0)
