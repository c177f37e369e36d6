"""Faults of what the tests themselves rely on: absent descriptions, second tries, signs and sizes."""

from __future__ import annotations

_IDS = "bot/store/identities.py"
_READ = "tests/unit/test_store_accounts.py::test_a_code_is_read_however_it_is_typed"
_SPECS = "tests/unit/test_specs.py"
_ABSENT = f"{_SPECS}::test_each_description_that_is_absent_is_named_with_what_ran_without_it"
_LOUD = f"{_SPECS}::test_the_summary_says_so_loudly"
_CI = "tests/unit/test_ci.py"
_GRID = "tests/contract/slack/test_behaviour.py::test_a_command_becomes_pictures_in_one_message"

MUTATIONS: list[tuple[str, str, str, str]] = [
    # where a description is absent, the summary says what was not checked
    ("tests/specs.py", "if not path.exists() and", "if False and", _ABSENT),
    ("tests/specs.py", 'each.startswith(f"{folder}/")', "True", _ABSENT),
    ("tests/conftest.py", "if lines := specs.unchecked(", "if lines := (lambda ran: [])(", _LOUD),
    # a second try is a failure of its own kind
    (".ci/second_try.py", "AGAIN, ONCE = 1, 3", "AGAIN, ONCE = 1, 0", _CI),
    (".ci/second_try.py", "sorted(first - second)", "[]", _CI),
    (".ci/second_try.py", "return ONCE if status == 0 else AGAIN", "return ONCE", _CI),
    # signs that are mistaken for others, and what a message shows
    (_IDS, 'str.maketrans("OILU", "011V", "- ")', 'str.maketrans("ILU", "11V", "- ")', _READ),
    (_IDS, 'str.maketrans("OILU", "011V", "- ")', 'str.maketrans("OLU", "01V", "- ")', _READ),
    (_IDS, 'str.maketrans("OILU", "011V", "- ")', 'str.maketrans("OIU", "01V", "- ")', _READ),
    (_IDS, 'str.maketrans("OILU", "011V", "- ")', 'str.maketrans("OIL", "011", "- ")', _READ),
    (_IDS, 'str.maketrans("OILU", "011V", "- ")', 'str.maketrans("OILU", "011V")', _READ),
    (_IDS, "code.upper().translate", "code.translate", _READ),
    ("bot/images/pictures.py", "math.ceil(math.sqrt(len(pngs)))", "len(pngs)", _GRID),
]
