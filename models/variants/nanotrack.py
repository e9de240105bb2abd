"""NanoTrack as published: models/config/configv1.yaml to configv3.yaml of HonglinChu/SiamTrackers, folder NanoTrack."""

from __future__ import annotations

from models.spec import Architecture, CropSpec, Family, LoopSpec, LostSearch, ModelSpec, NetworkSpec, PresenceSpec


def _spec(architecture: Architecture, channels: int, loop: LoopSpec, presence: PresenceSpec) -> ModelSpec:
    return ModelSpec(
        family=Family.SIAMRPN,
        network=NetworkSpec(architecture, stride=16, channels=(channels,)),
        crop=CropSpec(template_size=127, search_size=255, context_amount=0.5),
        loop=loop,
        presence=presence,
    )


def _presence(lost: float, lost_after_s: float, leave: float, enter: float, reacquire: float) -> PresenceSpec:
    # The fewest absences missed, then the soonest noticed, without a false loss on the tuning half of the development
    # sequences and of their made absences; `lockon evaluate --absences` shows what the other half makes of it.
    return PresenceSpec(
        lost=lost,
        fallen=0.0,
        leave=leave,
        enter=enter,
        reacquire=reacquire,
        lost_after_s=lost_after_s,
        reacquire_after=3,
        search=LostSearch.STAY,
    )


VARIANTS: dict[str, ModelSpec] = {
    "nanotrack_v1": _spec(
        Architecture.NANOTRACK_V1,
        48,
        LoopSpec(penalty_k=0.148, window_influence=0.462, size_lr=0.390, min_size=10),
        _presence(0.94, 0.8, 0.94, 0.96, 0.98),
    ),
    "nanotrack_v2": _spec(
        Architecture.NANOTRACK_V2,
        48,
        LoopSpec(penalty_k=0.150, window_influence=0.490, size_lr=0.385, min_size=10),
        _presence(0.89, 0.5, 0.91, 0.95, 0.98),
    ),
    "nanotrack_v3": _spec(
        Architecture.NANOTRACK_V3,
        96,
        LoopSpec(penalty_k=0.138, window_influence=0.455, size_lr=0.348, min_size=10),
        _presence(0.94, 0.3, 0.95, 0.97, 0.99),
    ),
}
