"""Packs: made in one go, in parallel or after a kill, they are the same; damage is found; they equal their folder."""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from tests import trees
from training.datasets.catalogue import all_tracks, recognise
from training.datasets.sources import DataSet, open_sources, read_source
from training.datasets.tracks import DataInvalid, Track, decoded
from training.packs import cutting, store, writing
from training.packs.crops import CropRule
from training.packs.reading import CROPS, INDEX, MANIFEST, NAMES, PackedPictures, environment, read_pack, view_key
from training.packs.store import PackExists
from training.packs.verifying import verify_pack
from training.packs.writing import Progress, write_pack
from training.recipe import DataRecipe, SourceRecipe

RULE = CropRule()
PAGE = mmap.PAGESIZE
"""Bytes of LMDB's, two of which begin the file."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three data sets side by side."""
    root = tmp_path_factory.mktemp("sets")
    trees.got10k(root / "got10k")
    trees.ilsvrc_vid(root / "ilsvrc")
    trees.coco(root / "coco")
    return root


@pytest.fixture(scope="module")
def pack(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pack") / "pack"
    write_pack(tracks(sets), out, RULE, ["test"])
    return out


def tracks(root: Path) -> Iterator[Track]:
    for found in recognise(root):
        yield from all_tracks(found, ["train"])


def content(folder: Path) -> dict[str, bytes]:
    """Everything of a pack: its files but LMDB's, whose pages may differ, and all that is in that."""
    held = {name: (folder / name).read_bytes() for name in (MANIFEST, INDEX, NAMES)}
    with environment(folder).begin() as transaction:
        return held | {key.decode(): value for key, value in transaction.cursor()}


def test_the_manifest_counts_what_was_packed(pack: Path) -> None:
    manifest = json.loads((pack / MANIFEST).read_text())
    # got10k: 5 of 5 and 2 of 5 frames are visible; VID: 3 and 3; COCO: 2 stills with area.
    assert {key: manifest[key] for key in ("tracks", "stills", "crops", "left_out", "sources")} == {
        "tracks": 4,
        "stills": 2,
        "crops": 15,
        "left_out": [],
        "sources": {"coco": 2, "got10k": 2, "ilsvrc_vid": 2},
    }
    assert manifest["rule"]["side"] == 511
    assert manifest["bytes"] == sum(
        len(value) for key, value in content(pack).items() if key[1:].isdigit() and key[0] == "v"
    )


def test_a_pack_shows_the_targets_where_its_boxes_say(pack: Path) -> None:
    found = read_pack(pack)
    track = next(track for track in found if track.name == "GOT-10k_Train_000001")
    assert track.frames.tolist() == [1, 2, 3, 4, 5]
    assert track.category == "ship"
    assert track.scene == "got10k/GOT-10k_Train_000001"
    for view in track.views:
        crop = decoded(view.pictures, view.picture)
        x, y, w, h = (round(v) for v in view.box.xywh())
        assert (w, h) == (20, 16)
        patch = crop[y + 2 : y + h - 2, x + 2 : x + w - 2].reshape(-1, 3).astype(int)
        assert np.ptp(patch, axis=0).max() < 30


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_do_not_change_a_pack(
    sets: Path, pack: Path, tmp_path: Path, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "JOB_VIEWS", 2)  # many small jobs, tracks cut in parts
    write_pack(tracks(sets), tmp_path / "other", RULE, ["test"], processes=processes)
    assert content(tmp_path / "other") == content(pack)


class Stopped(Exception):
    pass


def test_a_stopped_run_goes_on_to_the_same_pack(
    sets: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "JOB_VIEWS", 2)
    monkeypatch.setattr(store, "COMMIT_BYTES", 1)
    seen: list[int] = []

    def stop_at(views: int) -> Any:
        def report(progress: Progress) -> None:
            seen.append(progress.views)
            if progress.views >= views:
                raise Stopped

        return report

    for views in (3, 6, 9):
        with pytest.raises(Stopped):
            write_pack(tracks(sets), tmp_path, RULE, ["test"], report=stop_at(views))
        with pytest.raises(DataInvalid, match="is not finished: run the same"):
            read_pack(tmp_path)
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    assert content(tmp_path) == content(pack)
    # It did go on: the later runs did not begin with the first crop.
    assert seen.count(1) + seen.count(2) <= 2


def killed_run(sets: Path, out: Path) -> None:
    """Packs and kills its own process in the midst of it."""
    cutting.JOB_VIEWS = 2
    store.COMMIT_BYTES = 1

    def report(progress: Progress) -> None:
        if progress.views >= 6:
            os.kill(os.getpid(), signal.SIGKILL)

    write_pack(tracks(sets), out, RULE, ["test"], report=report)


def test_a_killed_run_goes_on_to_the_same_pack(sets: Path, pack: Path, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=killed_run, args=(sets, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / MANIFEST).exists()
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    assert content(tmp_path) == content(pack)


def test_the_file_grows_beyond_its_first_size(
    sets: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_FIRST_MAP_BYTES", 32 << 10)
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    assert content(tmp_path) == content(pack)


def test_another_rule_other_data_and_a_finished_pack_are_refused(
    sets: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "JOB_VIEWS", 2)
    monkeypatch.setattr(store, "COMMIT_BYTES", 1)

    def stop(progress: Progress) -> None:
        if progress.tracks == 1:
            raise Stopped

    with pytest.raises(Stopped):
        write_pack(tracks(sets), tmp_path, RULE, ["test"], report=stop)
    with pytest.raises(PackExists, match="beginning of another pack"):
        write_pack(tracks(sets), tmp_path, CropRule(quality=80), ["test"])
    with pytest.raises(PackExists, match="beginning of another pack"):
        write_pack(tracks(sets), tmp_path, RULE, ["other"])
    with pytest.raises(PackExists, match="the data changed since: track 0 was 'train2017/000000000009/0'"):
        write_pack(all_tracks(recognise(sets / "got10k")[0], ["train"]), tmp_path, RULE, ["test"])
    with pytest.raises(PackExists, match="finished pack"):
        write_pack(tracks(sets), pack, RULE, ["test"])


def test_a_stopped_pack_does_not_end_with_fewer_tracks(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(writing, "_finish", stop)
        with pytest.raises(Stopped):
            write_pack(tracks(sets), tmp_path, RULE, ["test"])
    with pytest.raises(PackExists, match=r"the data changed since: track \d+ was '.*', now there are 2 tracks"):
        write_pack(islice(tracks(sets), 2), tmp_path, RULE, ["test"])
    assert not (tmp_path / MANIFEST).exists()


def test_pictures_that_cannot_be_read_are_left_out_and_listed(tmp_path: Path) -> None:
    root = trees.got10k(tmp_path / "set")
    (root / "train/GOT-10k_Train_000001/00000002.jpg").write_bytes(b"no picture")
    manifest = write_pack(all_tracks(recognise(root)[0], ["train"]), tmp_path / "pack", RULE, ["test"])
    (reason,) = manifest["left_out"]
    assert "00000002.jpg: cannot be read as an image" in reason
    assert read_pack(tmp_path / "pack")[0].frames.tolist() == [1, 3, 4, 5]


def test_nothing_to_pack_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="nothing to pack"):
        write_pack([], tmp_path, RULE, ["test"])


def test_every_so_many_frames_keep_their_numbers(sets: Path, tmp_path: Path) -> None:
    found = all_tracks(recognise(sets / "got10k")[0], ["train"])
    write_pack(found, tmp_path, CropRule(every=2), ["test"])
    assert [track.frames.tolist() for track in read_pack(tmp_path)] == [[1, 3, 5], [1]]


def test_a_whole_pack_is_verified(pack: Path) -> None:
    done: list[tuple[int, int]] = []
    assert verify_pack(pack, lambda *counts: done.append(counts)) == []
    assert done[-1] == (15, 15)


def test_damaged_and_missing_crops_are_found(sets: Path, tmp_path: Path) -> None:
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    file = str(tmp_path / CROPS)
    with lmdb.open(file, subdir=False, map_size=1 << 30) as damaged, damaged.begin(write=True) as change:
        change.put(view_key(2), b"other")
        change.delete(view_key(4))
    assert verify_pack(tmp_path) == ["crop 2 is damaged", "crop 4 is missing"]
    with pytest.raises(DataInvalid, match="crop 4 is missing; run `lockon data verify"):
        PackedPictures(tmp_path, 15).encoded(4)


@pytest.mark.parametrize("kept", [0, 100, 2 * PAGE, 5 * PAGE, -1])
def test_crops_that_are_cut_short_are_found(sets: Path, tmp_path: Path, kept: int) -> None:
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    whole = (tmp_path / CROPS).read_bytes()
    (tmp_path / CROPS).write_bytes(whole[:kept])
    told = "is cut short: " if len(whole[:kept]) > PAGE else "cannot be opened: "
    with pytest.raises(DataInvalid, match=rf"crops\.lmdb: {told}"):
        verify_pack(tmp_path)
    with pytest.raises(DataInvalid, match=rf"crops\.lmdb: {told}"):
        PackedPictures(tmp_path, 15).encoded(0)
    if kept:  # an empty file is where a pack begins
        (tmp_path / MANIFEST).unlink()
        with pytest.raises(DataInvalid, match=rf"crops\.lmdb: {told}"):
            write_pack(tracks(sets), tmp_path, RULE, ["test"])


def test_pages_that_are_none_are_faults_of_their_crops(sets: Path, tmp_path: Path) -> None:
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    content = bytearray((tmp_path / CROPS).read_bytes())
    content[2 * PAGE :] = bytes(len(content) - 2 * PAGE)
    (tmp_path / CROPS).write_bytes(content)
    faults = verify_pack(tmp_path)
    assert len(faults) == 15
    assert faults[0].startswith("crop 0 cannot be read: ")
    with pytest.raises(DataInvalid, match="crop 0 cannot be read: "):
        PackedPictures(tmp_path, 15).encoded(0)


@pytest.mark.parametrize(("key", "message"), [("crops", "lacks 'crops'"), ("sha256", r"sha256 must have index\.npz")])
def test_a_manifest_without_its_keys_is_refused(key: str, message: str, sets: Path, tmp_path: Path) -> None:
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest |= {"sha256": {}} if key == "sha256" else {}
    if key != "sha256":
        del manifest[key]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    for read in (verify_pack, read_pack):
        with pytest.raises(DataInvalid, match=rf"manifest\.json: {message}"):
            read(tmp_path)


def test_a_changed_index_is_found(sets: Path, tmp_path: Path) -> None:
    write_pack(tracks(sets), tmp_path, RULE, ["test"])
    (tmp_path / NAMES).write_text((tmp_path / NAMES).read_text().replace("ship", "boat"))
    with pytest.raises(DataInvalid, match=r"tracks\.jsonl: is not the file that manifest\.json names"):
        verify_pack(tmp_path)


def test_a_pack_opens_its_file_once_in_a_process(pack: Path) -> None:
    pictures = read_pack(pack)[0].pictures
    copy = pickle.loads(pickle.dumps(pictures))
    assert copy.encoded(0) == pictures.encoded(0)
    assert environment(pack) is environment(pack)
    with pytest.raises(lmdb.ReadonlyError):
        environment(pack).begin(write=True)


def recipe(path: Path) -> DataRecipe:
    sources = (SourceRecipe(str(path), ("train",) if not (path / MANIFEST).exists() else ()),)
    return DataRecipe(sources, 14.0, 0.6, 0.6, 0.2, same_class_share=0.0)


def test_a_folder_gives_the_pictures_boxes_and_names_of_its_pack(sets: Path, pack: Path) -> None:
    """So that the sampler draws the same batches: see test_mixing."""
    folder, packed = read_source(sets), read_source(pack)
    assert [track.name for track in folder] == [track.name for track in packed]
    for one, other in zip(folder, packed, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.frames, other.frames)
        assert (one.source, one.scene, one.category) == (other.source, other.scene, other.category)
        for a, b in zip(one.views, other.views, strict=True):
            assert a.pictures.encoded(a.picture) == b.pictures.encoded(b.picture)
    ours, theirs = open_sources(recipe(sets))[0], open_sources(recipe(pack))[0]
    assert isinstance(ours, DataSet)
    assert len(ours.pictures) == len(theirs.pictures) == 15
    assert len(ours.stills) == len(theirs.stills)


def test_splits_of_a_pack_cannot_be_chosen(pack: Path) -> None:
    with pytest.raises(DataInvalid, match="a pack has no splits"):
        read_source(pack, ("train",))
