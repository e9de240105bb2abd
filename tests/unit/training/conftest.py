"""A tiny training set that the tests draw, in the true layout of the shards."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.training.short_runs import short_recipe
from training.recipe import AugmentRecipe, Recipe

SOURCES = ("one/discs", "two/squares")


def own_augment(recipe: Recipe) -> AugmentRecipe:
    """The disturbances of a recipe of our own, not those of a published code base."""
    assert isinstance(recipe.augment, AugmentRecipe)
    return recipe.augment


def picture(rng: np.random.Generator, box: tuple[int, int, int, int]) -> bytes:
    """A noisy picture, 200 x 160, with a patch at `box`, as WebP."""
    image = rng.integers(90, 140, (160, 200, 3), np.uint8)
    x, y, w, h = box
    image[y : y + h, x : x + w] = np.array(rng.integers(0, 256, 3), np.uint8)
    encoded: bytes = cv2.imencode(".webp", image)[1].tobytes()
    return encoded


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards: two sources, each with two tracks of three frames and three stills; one box is tiny."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(5)
    for number, source in enumerate(SOURCES):
        with tarfile.open(folder / f"train-{number:04d}.tar", "w") as tar:
            for item in range(9):
                is_track = item < 6
                box = (int(rng.integers(20, 100)), int(rng.integers(20, 80)), 40, 30)
                objects = [{"track": item // 3 if is_track else None, "class": "patch", "box": list(box)}]
                if item == 8:
                    objects.append({"track": None, "class": "crumb", "box": [1, 1, 5, 5]})
                description = {
                    "source": source,
                    "kind": "track" if is_track else "still",
                    "video": f"v{item // 3}" if is_track else None,
                    "frame": item,
                    "objects": objects,
                }
                add(tar, f"{number}_{item:03d}.webp", picture(rng, box))
                add(tar, f"{number}_{item:03d}.json", json.dumps(description).encode())
    return folder


@pytest.fixture
def short(shards: Path, tmp_path: Path) -> Path:
    """A recipe that a processor runs in a second."""
    return short_recipe(shards, tmp_path / "short.toml")
