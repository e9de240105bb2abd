"""Pairs from several data sets: weights, gaps, stills and negatives; the same from folders, packs and workers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.spec import SpecInvalid, spec_from_mapping
from tests import trees
from training.datasets.catalogue import all_tracks, recognise
from training.datasets.sources import DataSet, open_sources, read_source
from training.datasets.tracks import DataInvalid, Files, Track
from training.loading import batches
from training.packs.crops import CropRule
from training.packs.writing import write_pack
from training.recipe import DataRecipe, Recipe, SourceRecipe, read_recipe
from training.sampling import DecodedPictures, Mix, PairBatch, PairSampler, two_views

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(RECIPE)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    trees.got10k(root / "got10k")
    trees.ilsvrc_vid(root / "ilsvrc")
    trees.coco(root / "coco")
    return root


@pytest.fixture(scope="module")
def pack(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pack")
    found = (track for data in recognise(sets) for track in all_tracks(data, ["train"]))
    write_pack(found, out, CropRule(), ["test"])
    return out


def sampler(recipe: Recipe, *paths: Path, seed: int = 3) -> PairSampler:
    sources = tuple(SourceRecipe(str(path), weight=1.0 + row, gap=row) for row, path in enumerate(paths))
    data = dataclasses.replace(recipe.data, sources=sources, min_side=8.0, negative_share=0.3)
    return PairSampler(open_sources(data), data, recipe.augment, recipe.model.crop, seed)


def assert_same(one: PairBatch, other: PairBatch) -> None:
    for field in dataclasses.fields(PairBatch):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def track(name: str, frames: list[int], source: str = "a") -> Track:
    count = len(frames)
    boxes = np.tile([[1.0, 2, 30, 20]], (count, 1))
    pictures = Files(Path("nowhere"), tuple(f"{name}{frame}.jpg" for frame in frames))
    seen = np.ones(count, np.bool_)
    return Track(source, name, f"{source}/{name}", None, pictures, np.arange(count), np.array(frames), boxes, seen)


def test_a_pack_gives_the_same_batches_as_its_folder(recipe: Recipe, sets: Path, pack: Path) -> None:
    folder, packed = sampler(recipe, sets), sampler(recipe, pack)
    for step in range(3):
        assert_same(folder.batch(step, 8), packed.batch(step, 8))


def test_workers_give_the_same_batches_in_order_whatever_their_number(recipe: Recipe, sets: Path, pack: Path) -> None:
    # OpenCV has threads of its own by now: workers must not wait for them.
    cv2.setNumThreads(2)
    cv2.resize(np.zeros((2000, 2000), np.uint8), (1500, 1500))
    drawn = sampler(recipe, pack, sets / "coco")
    alone = list(batches(drawn, 4, range(5, 9), 0))
    spread = list(batches(drawn, 4, range(5, 9), 2))
    assert len(alone) == len(spread) == 4
    for step, one, other in zip(range(5, 9), alone, spread, strict=True):
        assert_same(one, other)
        assert_same(one, drawn.batch(step, 4))
    other_seed = sampler(recipe, pack, sets / "coco", seed=4).batch(5, 4)
    assert not np.array_equal(other_seed.searches, alone[0].searches)


def mix(*data: DataSet, track_share: float = 0.5) -> Mix:
    sources = (SourceRecipe("x"),)
    return Mix(data, DataRecipe(sources, 8.0, track_share, 1.0, 0.1, same_class_share=0.0))


def test_sources_are_drawn_by_their_weights_and_keep_their_gaps() -> None:
    some = DataSet.of([track("one", [1, 2])], 8, weight=3, gap=7)
    others = DataSet.of([track("two", [1, 2])], 8, weight=1)
    rng = np.random.default_rng(1)
    mixed = mix(some, others)
    counts = Counter((found.name, gap) for found, gap in (mixed.draw(rng) for _ in range(4000)))
    assert set(counts) == {("one", 7), ("two", 0)}
    assert counts["one", 7] / 4000 == pytest.approx(0.75, abs=0.03)


def test_stills_and_tracks_are_drawn_by_their_share_where_a_source_has_both() -> None:
    both = mix(DataSet.of([track("film", [1, 2]), track("photo", [0])], 8), track_share=0.25)
    photos = mix(DataSet.of([track("photo", [0])], 8), track_share=1.0)
    rng = np.random.default_rng(1)
    counts = Counter(both.draw(rng)[0].name for _ in range(4000))
    assert counts["film"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert photos.draw(rng)[0].name == "photo"


def test_a_gap_counts_frames_and_not_places_in_the_list() -> None:
    film, rng = track("film", [1, 2, 4, 10, 11]), np.random.default_rng(1)
    pairs = {tuple(view.frame for view in two_views(film, 2, rng)) for _ in range(500)}
    assert pairs == {(1, 2), (2, 1), (2, 4), (4, 2), (10, 11), (11, 10)}
    assert {tuple(view.frame for view in two_views(film, 1, rng)) for _ in range(500)} == {
        (1, 2),
        (2, 1),
        (4, 4),
        (10, 11),
        (11, 10),
    }
    anywhere = {tuple(view.frame for view in two_views(film, 0, rng)) for _ in range(2000)}
    assert len(anywhere) == 20
    photo = track("photo", [3])
    assert [view.frame for view in two_views(photo, 5, rng)] == [3, 3]


def test_negatives_come_from_another_scene_of_any_source(recipe: Recipe, sets: Path) -> None:
    drawn = sampler(recipe, sets / "got10k", sets / "coco").batch(0, 32)
    assert 2 <= int((~drawn.positive).sum()) <= 20


def test_a_track_that_loses_all_but_one_frame_is_no_still() -> None:
    film = track("film", [1, 2, 3])
    film.boxes[1:, 2:] = 4
    data = DataSet.of([film, track("photo", [0])], 8)
    assert (len(data.tracks), [still.name for still in data.stills]) == (0, ["photo"])
    # Backgrounds are drawn from every picture.
    assert len(data.pictures) == 4


def test_what_shows_no_target_is_refused(tmp_path: Path) -> None:
    trees.coco(tmp_path)
    with pytest.raises(DataInvalid, match=r"shows no target of 50\.0 pixels or more"):
        open_sources(DataRecipe((SourceRecipe(str(tmp_path)),), 50.0, 0.5, 1.0, 0.1, same_class_share=0.0))


def test_environment_variables_stand_for_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.coco(tmp_path / "coco")
    monkeypatch.setenv("SOMEWHERE", str(tmp_path))
    sources = (SourceRecipe("$SOMEWHERE/coco"),)
    (data,) = open_sources(DataRecipe(sources, 8.0, 0.5, 1.0, 0.1, same_class_share=0.0))
    assert len(data.stills) == 2


@pytest.mark.parametrize(
    "wrong", [{"path": "x", "weight": 0.0}, {"path": "x", "gap": -1}, {"path": "x", "kind": "y"}, {}]
)
def test_a_source_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecInvalid):
        spec_from_mapping(SourceRecipe, wrong)


def test_decoded_pictures_are_kept_up_to_a_limit(tmp_path: Path) -> None:
    found = read_source(trees.got10k(tmp_path))[0]
    once = DecodedPictures(1 << 30).get(found.pictures, 0)
    few = DecodedPictures(2 * once.nbytes + 40_000)
    first = few.get(found.pictures, 0)
    assert few.get(found.pictures, 0) is first
    for number in range(1, 5):
        few.get(found.pictures, number)
    again = few.get(found.pictures, 0)
    assert again is not first
    np.testing.assert_array_equal(again, first)
