"""Which variant a checkpoint is, and what happens when it is another one, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.importing.loading import ImportRefused, load_network
from models.importing.origins import ORIGINS, origin_of
from models.variants import VARIANTS, merged
from tests.foreign import as_training_writes, tinyconv_state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "epoch-19.pkl"
    torch.save(as_training_writes(tinyconv_state()), path)
    return path


def saved(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    return path


def test_every_variant_has_one_origin_and_every_origin_known_variants() -> None:
    listed = [variant for origin in ORIGINS for variant in origin.names.VARIANTS]
    assert sorted(listed) == sorted(VARIANTS)
    assert origin_of("siamrpnpp_r50").code == "pysot"


def test_the_document_names_every_variant() -> None:
    text = (Path(__file__).parents[4] / "docs" / "importing.md").read_text(encoding="utf-8")
    assert [variant for variant in VARIANTS if f"`{variant}`" not in text] == []


def test_a_variant_that_stands_in_two_tables_is_an_error() -> None:
    with pytest.raises(ValueError, match="two variants have the name siamfcpp_tinyconv"):
        merged(VARIANTS, {"siamfcpp_tinyconv": VARIANTS["siamfcpp_tinyconv"]})


def test_a_variant_is_found_by_names_and_shapes(file: Path) -> None:
    loaded = load_network(file)
    assert loaded.variant == "siamfcpp_tinyconv"
    assert loaded.siblings == ()
    assert not loaded.network.training


def test_a_network_has_the_weights_of_the_file(file: Path) -> None:
    weights = load_network(file).network.state_dict()
    state = tinyconv_state()
    assert torch.equal(weights["head.scale"], state["head.si"])
    assert torch.equal(weights["neck.template_score.conv.weight"], state["c_z_k.conv.weight"])


def test_counters_that_an_old_torch_did_not_write_become_zero(tmp_path: Path) -> None:
    state = {name: value for name, value in tinyconv_state().items() if not name.endswith("num_batches_tracked")}
    weights = load_network(saved(tmp_path, state)).network.state_dict()
    counters = [value for name, value in weights.items() if name.endswith("num_batches_tracked")]
    assert counters
    assert all(value == 0 for value in counters)


def test_weights_of_another_family_are_refused_with_its_name(file: Path) -> None:
    with pytest.raises(ImportRefused) as caught:
        load_network(file, "nanotrack_v2")
    text = str(caught.value)
    assert "epoch-19.pkl is not nanotrack_v2: wrong family" in text
    assert "siamfcpp_tinyconv (video_analyst)" in text
    assert "missing:\n" in text
    assert "left over:\n" in text


def test_weights_of_another_variant_of_the_family_are_refused_with_its_name(file: Path) -> None:
    with pytest.raises(ImportRefused) as caught:
        load_network(file, "siamfcpp_alexnet")
    assert "its names and shapes are those of siamfcpp_tinyconv" in str(caught.value)
    assert "wrong family" not in str(caught.value)
    assert "basemodel.conv1.conv.weight: expected (96, 3, 11, 11), found (32, 3, 3, 3)" in str(caught.value)


def test_missing_unexpected_and_misshapen_weights_are_reported(tmp_path: Path) -> None:
    state = tinyconv_state()
    del state["c_x.conv.weight"]
    state["head.scores.weight"] = torch.ones(2)
    state["r_x.conv.weight"] = torch.ones(64, 64, 1, 1)
    with pytest.raises(ImportRefused) as caught:
        load_network(saved(tmp_path, state))
    assert str(caught.value).splitlines()[1:] == [
        "1 missing:",
        "  neck.search_score.conv.weight (64, 64, 3, 3)",
        "1 left over:",
        "  head.scores.weight (2,)",
        "1 of another shape:",
        "  r_x.conv.weight: expected (64, 64, 3, 3), found (64, 64, 1, 1)",
    ]


def test_weights_of_no_known_tracker_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=r"no known tracker has these weights .*conv1\.weight.* pysot"):
        load_network(saved(tmp_path, {"conv1.weight": torch.ones(2)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    state = tinyconv_state()
    state["c_x.conv.bias"][3] = value
    with pytest.raises(
        ImportRefused, match=r"1 arrays hold numbers that are not finite: neck\.search_score\.conv\.bias"
    ):
        load_network(saved(tmp_path, state))


def test_arrays_of_tensorflow_that_do_not_divide_are_refused(tmp_path: Path) -> None:
    state = {
        "featureExtract_alexnet/conv1/weights": torch.ones(11, 11, 3, 96),
        "cls/conv_cls1/weights": torch.ones(3, 3, 4, 7),
        "regssion/regress_adjust/weights": torch.ones(1, 1, 20, 20),
    }
    with pytest.raises(ImportRefused, match="is not siamrpn_tf"):
        load_network(saved(tmp_path, state))
