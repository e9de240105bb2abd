"""SiamRPN-TF as published: configs/config.py of Jiangfeng-Xiong/SiamRPN-TF."""

from __future__ import annotations

from models.spec import Architecture, CropSpec, Family, LoopSpec, ModelSpec, NetworkSpec
from models.variants.pysot import PRESENCE

VARIANTS: dict[str, ModelSpec] = {
    "siamrpn_tf": ModelSpec(
        family=Family.SIAMRPN_TF,
        network=NetworkSpec(Architecture.SIAMRPN_UPCHANNEL, stride=8, channels=(256,)),
        crop=CropSpec(template_size=127, search_size=255, context_amount=0.5),
        loop=LoopSpec(penalty_k=0.22, window_influence=0.2, size_lr=0.3, min_size=10),
        presence=PRESENCE,
    )
}
