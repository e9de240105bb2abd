"""`lockon data`, by its command line."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests import trees


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, words)])


def test_check_names_the_set_what_is_missing_and_its_publisher(tmp_path: Path) -> None:
    root = trees.got10k(tmp_path)
    (root / "train/GOT-10k_Train_000002/cover.label").unlink()
    result = run("check", root)
    assert result.exit_code == 1
    for words in ("GOT-10k in", "9,335", "cover.label: cannot be read", "got-10k.aitestunion.com", "note: unpack"):
        assert words in result.output


def test_check_of_a_complete_set_ends_well(shards_folder: Path) -> None:
    result = run("check", shards_folder)
    assert result.exit_code == 0, result.output
    assert "tar shards" in result.output


def test_check_of_another_folder_is_an_error(tmp_path: Path) -> None:
    result = run("check", tmp_path)
    assert result.exit_code == 1
    assert "holds none of GOT-10k" in result.output


def test_pack_verify_and_show(tmp_path: Path) -> None:
    trees.got10k(tmp_path / "sets" / "got10k")
    trees.coco(tmp_path / "sets" / "coco")
    pack, sheet = tmp_path / "pack", tmp_path / "sheets" / "sheet.png"
    packed = run("pack", tmp_path / "sets", "--out", pack, "--jobs", 1, "--quality", 80)
    assert packed.exit_code == 0, packed.output
    assert "9 crops of 2 tracks and 2 stills" in packed.output
    manifest = json.loads((pack / "manifest.json").read_text())
    assert manifest["origin"] == ["coco:train", "got10k:train"]
    assert manifest["rule"]["quality"] == 80
    verified = run("verify", pack)
    assert (verified.exit_code, verified.output) == (0, f"{pack}: whole\n")
    assert run("show", pack, "--out", sheet).exit_code == 0
    assert cv2.imread(str(sheet)) is not None


def test_pack_of_a_benchmark_asks_for_a_split(tmp_path: Path) -> None:
    result = run("pack", trees.vot(tmp_path / "vot"), "--out", tmp_path / "pack")
    assert result.exit_code == 1
    assert "VOT short-term is a benchmark; name a split: vot2018" in result.output
    result = run("pack", tmp_path / "vot", "--out", tmp_path / "pack", "--split", "vot2018", "--jobs", 1)
    assert "6 crops of 2 tracks" in result.output


def test_a_finished_pack_is_not_overwritten_and_an_unfinished_one_not_verified(tmp_path: Path) -> None:
    root, pack = trees.coco(tmp_path / "coco"), tmp_path / "pack"
    assert run("pack", root, "--out", pack, "--jobs", 1).exit_code == 0
    again = run("pack", root, "--out", pack, "--jobs", 1)
    assert again.exit_code == 1
    assert "finished pack" in again.output
    (pack / "manifest.json").unlink()
    result = run("verify", pack)
    assert result.exit_code == 1
    assert "is not finished" in result.output


def test_show_draws_the_augmented_pairs_of_a_recipe(tmp_path: Path) -> None:
    trees.got10k(tmp_path / "got10k")
    shipped = (Path(__file__).parents[3] / "training/recipes/siamfcpp_light.toml").read_text()
    recipe = trees.text(
        tmp_path / "recipe.toml", shipped.replace("$LOCKON_SHARED/data/train", str(tmp_path / "got10k"))
    )
    sheet = tmp_path / "pairs.png"
    result = run("show", recipe, "--out", sheet, "--seed", 5)
    assert result.exit_code == 0, result.output
    picture = cv2.imread(str(sheet))
    assert picture is not None
    # Crops of 112 and 208 px, enlarged to 121 and 224 px, and a margin of 6 px all round: six in a row.
    assert picture.shape[1] == 6 * (121 + 224 + 12)
    broken = trees.text(tmp_path / "broken.toml", "[data]\n")
    assert run("show", broken, "--out", sheet).exit_code == 1
    picture_file = next((tmp_path / "got10k").rglob("*.jpg"))
    result = run("show", picture_file, "--out", sheet)
    assert result.exit_code == 1
    assert f"{picture_file.name}: is no TOML file" in result.output


def test_show_refuses_a_name_that_is_no_picture(tmp_path: Path) -> None:
    result = run("show", trees.coco(tmp_path / "coco"), "--out", tmp_path / "sheet.txt")
    assert result.exit_code == 1
    assert "use a name that ends in .png or .jpg" in result.output


@pytest.fixture
def shards_folder(tmp_path: Path) -> Path:
    """One shard with one still."""
    trees.picture(tmp_path / "parts" / "a.jpg", (10, 12, 20, 16))
    thing = {"track": None, "class": None, "box": [10, 12, 20, 16]}
    description = {"source": "x/y", "kind": "still", "video": None, "objects": [thing]}
    trees.text(tmp_path / "parts" / "a.json", json.dumps(description))
    folder = tmp_path / "shards"
    folder.mkdir()
    with tarfile.open(folder / "train-0000.tar", "w") as tar:
        for name in ("a.jpg", "a.json"):
            tar.add(tmp_path / "parts" / name, name)
    return folder
