"""Files that are written beside their place first."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.drafts import drafted


def test_a_file_appears_whole_and_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    with drafted(path) as first, drafted(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert not path.exists()
    assert path.read_text() == "first", "the one that ended last"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    path.write_text("old")
    with pytest.raises(IsADirectoryError), drafted(path) as draft:
        draft.parent.write_text("a folder cannot be written to")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
