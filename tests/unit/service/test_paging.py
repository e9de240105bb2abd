"""Cursors: signed, bound to their list, and good for ten minutes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.paging import CURSOR_TTL_S, CursorRefused, Cursors

CURSORS = Cursors()
PLACE = ["2026-05-04T12:00:00", "ses_a"]
LISTING = ["me", None, "label"]
CURSOR = CURSORS.made(PLACE, LISTING, 0.0)


def test_a_cursor_leads_back_to_its_place() -> None:
    assert CURSORS.read(CURSOR, LISTING, CURSOR_TTL_S) == PLACE


@pytest.mark.parametrize(
    ("text", "listing", "now_s"),
    [
        (CURSOR, LISTING, CURSOR_TTL_S + 1),
        (CURSOR, ["you", None, "label"], 0.0),
        (CURSOR, ["me", "label", None], 0.0),
        (Cursors().made(PLACE, LISTING, 0.0), LISTING, 0.0),
        (CURSOR[:-3], LISTING, 0.0),
        ("", LISTING, 0.0),
    ],
    ids=["expired", "another caller", "another filter", "another process", "cut", "empty"],
)
def test_other_cursors_are_refused(text: str, listing: list[str | None], now_s: float) -> None:
    with pytest.raises(CursorRefused):
        CURSORS.read(text, listing, now_s)


@given(st.text(max_size=100))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(CursorRefused):
        CURSORS.read(text, LISTING, 0.0)
