"""NanoTrack's names of layers."""

from __future__ import annotations

import numpy as np

from models.importing.nanotrack import convert, recognises
from models.variants.nanotrack import VARIANTS

SOMETHING = np.zeros(1, np.float32)


def converted(key: str, variant: str) -> list[str]:
    return list(convert({key: SOMETHING}, VARIANTS[variant]))


def test_layers_get_our_names() -> None:
    for variant, theirs, ours in (
        ("nanotrack_v1", "backbone.features.0.0.weight", "backbone.stem.conv.weight"),
        ("nanotrack_v1", "backbone.features.1.conv.4.weight", "backbone.blocks.1.project.conv.weight"),
        ("nanotrack_v1", "backbone.features.4.conv.5.fc.2.bias", "backbone.blocks.4.gate.restore.bias"),
        ("nanotrack_v1", "ban_head.corr_pw.CA_layer.fc1.bias", "head.attention.first.bias"),
        ("nanotrack_v1", "ban_head.bbox_tower.14.running_mean", "head.box.tower.3.pointwise.norm.running_mean"),
        ("nanotrack_v2", "ban_head.corr_pw_reg.conv_search.1.weight", "head.box.pixels.search.norm.weight"),
        ("nanotrack_v2", "ban_head.cls_pw_tower.20.weight", "head.score.output.tower.5.depthwise.weight"),
        ("nanotrack_v3", "ban_head.corr_pw_cls.conv.3.bias", "head.score.reduction.pointwise.conv.bias"),
        ("nanotrack_v3", "ban_head.cls_tower.28.weight", "head.score.output.tower.5.pointwise.conv.weight"),
        ("nanotrack_v3", "ban_head.down_reg.0.bias", "head.box.join.bias"),
    ):
        assert converted(theirs, variant) == [ours]


def test_the_layer_that_the_trackers_never_call_is_dropped() -> None:
    assert converted("neck.downsample.1.running_var", "nanotrack_v2") == []


def test_what_has_no_place_in_the_variant_keeps_its_own_name() -> None:
    for key in ("fc.weight", "neck.other.weight", "ban_head.cls_pw_tower.20.weight"):
        assert converted(key, "nanotrack_v1") == [key]


def test_other_weights_are_not_recognised() -> None:
    assert recognises({"backbone.features.0.0.weight": SOMETHING}) is None
