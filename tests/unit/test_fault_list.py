"""The list of faults in tests/README.md names tests that exist, and leaves no case out."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)
CASES = 96


def test_every_case_has_a_row() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, CASES + 1))


def test_every_named_test_exists() -> None:
    named = {name for _, _, shown in ROWS for name in re.findall(r"`([\w/]+\.py::\w+)`", shown)}
    missing = []
    for name in sorted(named):
        path, _, function = name.partition("::")
        file = TESTS / path
        if not file.is_file() or not re.search(rf"^(async )?def {function}\(", file.read_text(encoding="utf-8"), re.M):
            missing.append(name)
    assert missing == []
    assert len(named) > 70


def test_whatever_has_no_test_says_why() -> None:
    for number, _, shown in ROWS:
        assert "::" in shown or re.match(r"(missing|not tried|does not apply): \S", shown), number
