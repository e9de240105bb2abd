"""Reading sequences, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.evaluation.sequences import (
    SequenceInvalid,
    frame_paths,
    read_boxes,
    read_frame,
    read_sequence,
    read_sequences,
    write_boxes,
)

from .conftest import DRAWING, DrawSequence


@pytest.mark.parametrize("separator", [",", "\t", " ", ", ", "  "])
def test_boxes_may_be_separated_by_commas_blanks_or_tabs(draw_sequence: DrawSequence, separator: str) -> None:
    sequence = read_sequence(draw_sequence("square", 4, absent=(2,), separator=separator))
    np.testing.assert_array_equal(sequence.truth[1], DRAWING.box(1).xywh())
    assert np.isnan(sequence.truth[2]).all()


def test_a_folder_of_sequences_is_read_in_the_order_of_names(draw_sequence: DrawSequence) -> None:
    for name in ("zebra", "ant", "mouse"):
        folder = draw_sequence(name)
    assert [sequence.name for sequence in read_sequences(folder.parent)] == ["ant", "mouse", "zebra"]


def test_a_linked_sequence_has_the_name_of_its_link(
    draw_sequence: DrawSequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, links = draw_sequence("square", 3), tmp_path / "links"
    links.mkdir()
    for name in ("ant", "bee"):
        (links / name).symlink_to(target)
    assert [sequence.name for sequence in read_sequences(links)] == ["ant", "bee"]
    monkeypatch.chdir(target)
    assert [read_sequence(Path(here)).name for here in (".", "img/..")] == ["square", "square"]


def test_one_sequence_is_accepted_as_well(draw_sequence: DrawSequence) -> None:
    (sequence,) = read_sequences(draw_sequence("square", 3))
    assert sequence.name == "square"
    assert [frame.shape for frame in sequence.frames()] == [(120, 160, 3)] * 3


def test_frames_without_leading_zeros_are_ordered_by_number(tmp_path: Path) -> None:
    for name in ("10.jpg", "2.jpg", "1.jpg", "Thumbs.db", "._1.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in frame_paths(tmp_path)] == ["1.jpg", "2.jpg", "10.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4\n5,6,x,8\n", "line 2: '5,6,x,8' is not four numbers"),
        ("1,2,3,4\n\n5,6,7\n", "line 3: expected four numbers x,y,w,h, got 3"),
        ("1,2,3,4\n1,2,inf,4\n", "line 2: '1,2,inf,4' is not finite"),
        ("\n", "holds no boxes"),
    ],
)
def test_an_error_in_a_box_file_names_the_file_and_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "groundtruth.txt"
    path.write_text(text)
    with pytest.raises(SequenceInvalid) as caught:
        read_boxes(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_more_boxes_than_frames_are_refused(draw_sequence: DrawSequence) -> None:
    folder = draw_sequence("square", 3)
    (folder / "img" / "00000003.png").unlink()
    with pytest.raises(SequenceInvalid, match=r"3 boxes, but .* has 2 frames"):
        read_sequence(folder)


@pytest.mark.parametrize("first", ["nan,nan,nan,nan", "1,2,0,4"])
def test_the_first_box_must_be_one_to_start_with(draw_sequence: DrawSequence, first: str) -> None:
    folder = draw_sequence("square", 2)
    (folder / "groundtruth.txt").write_text(f"{first}\n1,2,3,4\n")
    with pytest.raises(SequenceInvalid, match=r"groundtruth\.txt, line 1"):
        read_sequence(folder)


def test_a_sequence_with_nothing_to_score_is_refused(draw_sequence: DrawSequence) -> None:
    with pytest.raises(SequenceInvalid, match="nothing to score"):
        read_sequence(draw_sequence("square", 3, absent=(1, 2)))


def test_missing_folders_and_files_are_named(tmp_path: Path, draw_sequence: DrawSequence) -> None:
    with pytest.raises(SequenceInvalid, match="no such folder"):
        read_sequences(tmp_path / "nothing")
    with pytest.raises(SequenceInvalid, match=r"neither groundtruth\.txt nor"):
        read_sequences(tmp_path)
    broken = draw_sequence("square") / "img" / "00000002.png"
    broken.write_bytes(b"no image")
    with pytest.raises(SequenceInvalid, match=r"00000002\.png: cannot be read as an image"):
        read_frame(broken)


def test_boxes_come_back_as_they_were_written(tmp_path: Path) -> None:
    boxes = np.array([[1.25, -2.5, 3.00006, 4], [np.nan] * 4])
    write_boxes(tmp_path / "new" / "boxes.txt", boxes)
    np.testing.assert_allclose(read_boxes(tmp_path / "new" / "boxes.txt"), boxes, atol=5e-5)
