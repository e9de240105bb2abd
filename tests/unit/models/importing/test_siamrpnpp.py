"""The names that mmtracking and SiamRPN_plus_plus_PyTorch give to SiamRPN++."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from models.importing import mmtracking, siamrpnpp_pytorch
from models.variants import VARIANTS

SOMETHING = np.zeros(1, np.float32)


@pytest.mark.parametrize(
    ("origin", "theirs", "ours"),
    [
        (mmtracking, "backbone.layer4.0.downsample.1.bias", "backbone.layer4.0.projection.norm.bias"),
        (mmtracking, "neck.convs.2.bn.running_mean", "neck.levels.2.norm.running_mean"),
        (mmtracking, "head.reg_weight", "head.box_weights"),
        (mmtracking, "head.cls_heads.1.search_convs.bn.weight", "head.levels.1.score.search.norm.weight"),
        (mmtracking, "head.reg_heads.0.head_convs.1.conv.bias", "head.levels.0.box.output.bias"),
        (mmtracking, "head.loss.weight", "head.loss.weight"),
        (siamrpnpp_pytorch, "examplar_branch.bn1.bias", "template_backbone.stem.norm.bias"),
        (
            siamrpnpp_pytorch,
            "search_region_branch.layer2.0.downsample.0.bias",
            "search_backbone.layer2.0.projection.conv.bias",
        ),
        (siamrpnpp_pytorch, "search_region_branch.extra_1x1_conv5.weight", "search_backbone.reduce.2.weight"),
        (siamrpnpp_pytorch, "conv3_3_RPN.adj_1.0.weight", "box.levels.0.kernel.conv.weight"),
        (siamrpnpp_pytorch, "conv4_6_RPN.adj_4.1.bias", "score.levels.1.search.norm.bias"),
        (siamrpnpp_pytorch, "conv5_3_RPN.fusion_module_2.0.bias", "score.levels.2.joint.conv.bias"),
        (siamrpnpp_pytorch, "conv5_3_RPN.Box_Head.0.bias", "box.levels.2.output.bias"),
        (siamrpnpp_pytorch, "weighted_sum_layer_alpha.bias", "score.fusion.bias"),
        (siamrpnpp_pytorch, "examplar_branch.other.weight", "examplar_branch.other.weight"),
        (siamrpnpp_pytorch, "conv6_RPN.adj_1.0.weight", "conv6_RPN.adj_1.0.weight"),
    ],
)
def test_layers_get_our_names_and_unknown_ones_keep_theirs(origin: ModuleType, theirs: str, ours: str) -> None:
    assert list(origin.convert({theirs: SOMETHING}, VARIANTS[origin.VARIANTS[0]])) == [ours]


def test_the_classifier_that_is_computed_and_thrown_away_is_dropped() -> None:
    spec = VARIANTS["siamrpnpp_r50_port"]
    assert siamrpnpp_pytorch.convert({"examplar_branch.fc.weight": SOMETHING}, spec) == {}
    assert siamrpnpp_pytorch.convert({"fc.weight": SOMETHING}, spec).keys() == {"fc.weight"}


def test_other_weights_are_not_recognised() -> None:
    for origin in (mmtracking, siamrpnpp_pytorch):
        assert origin.recognises({"backbone.layer4.0.conv1.weight": SOMETHING}) is None
