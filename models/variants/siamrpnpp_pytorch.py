"""SiamRPN++ of PengBoXiangShang/SiamRPN_plus_plus_PyTorch, which publishes a network but no tracker.

The loop's constants are those that its config.py lists (penalty_k, window_influence, lr_box) and nothing there reads.
"""

from __future__ import annotations

from models.spec import Architecture, CropSpec, Family, LoopSpec, ModelSpec, NetworkSpec
from models.variants.pysot import PRESENCE

VARIANTS: dict[str, ModelSpec] = {
    "siamrpnpp_r50_port": ModelSpec(
        family=Family.SIAMRPNPP_PYTORCH,
        network=NetworkSpec(
            Architecture.SIAMRPNPP_RESNET50_BRANCHES, stride=8, channels=(256, 256, 256), weighted=True
        ),
        crop=CropSpec(template_size=127, search_size=255, context_amount=0.5),
        loop=LoopSpec(penalty_k=0.22, window_influence=0.40, size_lr=0.30, min_size=10),
        presence=PRESENCE,
    )
}
