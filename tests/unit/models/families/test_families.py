"""The table of families."""

from __future__ import annotations

from models.families import FAMILIES
from models.spec import Family


def test_every_family_has_its_rules() -> None:
    assert set(FAMILIES) == set(Family)
