"""SiamRPN of 2018 as published: DaSiamRPN, huanglianghua/siamrpn-pytorch, and pysot's module of the same shape.

Constants: DaSiamRPN, code/net.py and code/run_SiamRPN.py; siamrpn.py of siamrpn-pytorch; pysot, pysot/core/config.py.
"""

from __future__ import annotations

from models.spec import (
    Architecture,
    CropSpec,
    Family,
    LoopSpec,
    ModelSpec,
    NetworkSpec,
    SmallTargetSpec,
)
from models.variants.pysot import PRESENCE

_ADAPTIVE = SmallTargetSpec(search_size=287, area_share=0.004)


def _spec(
    family: Family, channels: int, loop: LoopSpec, search_size: int = 271, small_target: SmallTargetSpec | None = None
) -> ModelSpec:
    return ModelSpec(
        family=family,
        network=NetworkSpec(Architecture.SIAMRPN_UPCHANNEL, stride=8, channels=(channels,)),
        crop=CropSpec(template_size=127, search_size=search_size, context_amount=0.5),
        loop=loop,
        presence=PRESENCE,
        small_target=small_target,
    )


_VOT = LoopSpec(penalty_k=0.04, window_influence=0.44, size_lr=0.45, min_size=10)
_OTB = LoopSpec(penalty_k=0.22, window_influence=0.40, size_lr=0.30, min_size=10)
_BIG = LoopSpec(penalty_k=0.055, window_influence=0.42, size_lr=0.295, min_size=10)
_PYSOT_DEFAULTS = LoopSpec(penalty_k=0.04, window_influence=0.44, size_lr=0.4, min_size=10)

VARIANTS: dict[str, ModelSpec] = {
    "dasiamrpn_vot": _spec(Family.DASIAMRPN, 256, _VOT),
    "dasiamrpn_otb": _spec(Family.DASIAMRPN, 256, _OTB),
    "dasiamrpn_big": _spec(Family.DASIAMRPN, 512, _BIG, small_target=_ADAPTIVE),
    "siamrpn_huanglianghua": _spec(Family.SIAMRPN_PYTORCH, 512, _BIG, small_target=_ADAPTIVE),
    # pysot has the module (UPChannelRPN), but neither weights nor a configuration for it: these are its defaults.
    "siamrpn_upchannel_pysot": _spec(Family.SIAMRPN, 256, _PYSOT_DEFAULTS, search_size=255),
}
"""DaSiamRPN's models for VOT and OTB differ in their weights and in these constants; nothing in a file tells which."""
