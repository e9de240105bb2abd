"""SiamRPN++ as mmtracking publishes it: configs/sot/siamese_rpn/siamese_rpn_r50_20e_*.py."""

from __future__ import annotations

from models.spec import Architecture, CropSpec, Family, LoopSpec, ModelSpec, NetworkSpec
from models.variants.pysot import PRESENCE


def _spec(penalty_k: float, window_influence: float, size_lr: float) -> ModelSpec:
    return ModelSpec(
        family=Family.SIAMRPNPP_MMTRACKING,
        network=NetworkSpec(Architecture.SIAMRPNPP_RESNET50, stride=8, channels=(256, 256, 256), weighted=True),
        crop=CropSpec(template_size=127, search_size=255, context_amount=0.5),
        loop=LoopSpec(penalty_k, window_influence, size_lr, min_size=10),
        presence=PRESENCE,
    )


VARIANTS: dict[str, ModelSpec] = {
    "siamrpnpp_r50_mmtracking": _spec(0.05, 0.42, 0.38),
    "siamrpnpp_r50_mmtracking_uav123": _spec(0.1, 0.1, 0.5),
    "siamrpnpp_r50_mmtracking_otb100": _spec(0.4, 0.5, 0.4),
    "siamrpnpp_r50_mmtracking_vot2018": _spec(0.04, 0.44, 0.33),
}
"""The first one is for LaSOT and TrackingNet. All four are one network; only the constants of the loop differ."""
