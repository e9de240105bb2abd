"""SiamRPN and SiamRPN++ as published: the configurations of pysot (experiments/*/config.yaml)."""

from __future__ import annotations

from models.spec import (
    Architecture,
    CropSpec,
    Family,
    LongTermSpec,
    LoopSpec,
    LostSearch,
    ModelSpec,
    NetworkSpec,
    PresenceSpec,
)

# The score is a probability that these networks set close to 1 for whatever they follow (pysot's issues 3 and 458); the
# authors' long-term tracker takes a target for lost below 0.8. No published weights were at hand to tune.
PRESENCE = PresenceSpec(
    lost=0.3,
    fallen=0.0,
    leave=0.6,
    enter=0.8,
    reacquire=0.9,
    lost_after_s=0.4,
    reacquire_after=2,
    search=LostSearch.STAY,
)

_LONG_TERM = LongTermSpec(
    search_size=831, hold=0.8, found=0.998, window_influence=0.001, judges_ranking=False, free_place=True
)


def _loop(penalty_k: float, window_influence: float, size_lr: float) -> LoopSpec:
    return LoopSpec(penalty_k=penalty_k, window_influence=window_influence, size_lr=size_lr, min_size=10)


def _spec(network: NetworkSpec, loop: LoopSpec, search_size: int = 255, lost: LongTermSpec | None = None) -> ModelSpec:
    return ModelSpec(
        family=Family.SIAMRPN,
        network=network,
        crop=CropSpec(template_size=127, search_size=search_size, context_amount=0.5),
        loop=loop,
        presence=PRESENCE,
        long_term=lost,
    )


_ALEXNET = NetworkSpec(Architecture.SIAMRPN_ALEXNET, stride=8, channels=(256,))
_RESNET50 = NetworkSpec(Architecture.SIAMRPNPP_RESNET50, stride=8, channels=(256, 256, 256), weighted=True)
_RESNET50_OTB = NetworkSpec(Architecture.SIAMRPNPP_RESNET50, stride=8, channels=(256, 256, 256))
_RESNET50_LONG_TERM = NetworkSpec(Architecture.SIAMRPNPP_RESNET50, stride=8, channels=(128, 256, 512), weighted=True)
_MOBILENETV2 = NetworkSpec(Architecture.SIAMRPNPP_MOBILENETV2, stride=8, channels=(256, 256, 256))

VARIANTS: dict[str, ModelSpec] = {
    "siamrpn_alexnet": _spec(_ALEXNET, _loop(0.16, 0.40, 0.30), search_size=287),
    "siamrpnpp_r50": _spec(_RESNET50, _loop(0.05, 0.42, 0.38)),
    "siamrpnpp_r50_otb": _spec(_RESNET50_OTB, _loop(0.24, 0.50, 0.25)),
    "siamrpnpp_r50_longterm": _spec(_RESNET50_LONG_TERM, _loop(0.05, 0.28, 0.22), lost=_LONG_TERM),
    "siamrpnpp_mobilenetv2": _spec(_MOBILENETV2, _loop(0.04, 0.40, 0.50)),
}
"""`siamrpn_alexnet` runs both published sets of weights, that for OTB as well: their configurations are the same."""
