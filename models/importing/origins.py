"""The code bases whose checkpoints can be imported, in one closed table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from models.importing import (
    dasiamrpn,
    mmtracking,
    nanotrack,
    pysot,
    pysot_upchannel,
    siamrpn_pytorch,
    siamrpn_tf,
    siamrpnpp_pytorch,
    video_analyst,
)
from models.spec import ModelSpec


class Names(Protocol):
    """What one of these modules knows of the names in a code base's state dicts."""

    VARIANTS: tuple[str, ...]

    def recognises(self, state: Mapping[str, Any]) -> str | None:
        """Names and arrays -> the variant they are; where several have the same weights, the usual one."""

    def convert(self, state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
        """Names and arrays -> the same under our names; what has no place in the network keeps its own."""


class Origin(NamedTuple):
    """A code base, on what terms it is published, and its names."""

    code: str
    repository: str
    licence: str
    names: Names


_UNSTATED = "not stated in its repository; ask its authors"

ORIGINS: tuple[Origin, ...] = (
    Origin(
        "video_analyst",
        "github.com/megvii-research/video_analyst",
        "code MIT; ask its authors for the weights' terms",
        video_analyst,
    ),
    Origin("pysot", "github.com/STVIR/pysot", "code Apache-2.0; released weights CC BY-SA 3.0", pysot),
    Origin("pysot's UPChannelRPN", "github.com/STVIR/pysot", "code Apache-2.0", pysot_upchannel),
    Origin("DaSiamRPN", "github.com/foolwood/DaSiamRPN", "code MIT; ask its authors for the weights' terms", dasiamrpn),
    Origin("siamrpn-pytorch", "github.com/huanglianghua/siamrpn-pytorch", _UNSTATED, siamrpn_pytorch),
    Origin("SiamRPN-TF", "github.com/Jiangfeng-Xiong/SiamRPN-TF", _UNSTATED, siamrpn_tf),
    Origin(
        "mmtracking",
        "github.com/open-mmlab/mmtracking",
        "code Apache-2.0; ask its authors for the weights' terms",
        mmtracking,
    ),
    Origin(
        "SiamRPN_plus_plus_PyTorch",
        "github.com/PengBoXiangShang/SiamRPN_plus_plus_PyTorch",
        _UNSTATED,
        siamrpnpp_pytorch,
    ),
    Origin("NanoTrack", "github.com/HonglinChu/SiamTrackers", "Apache-2.0", nanotrack),
)


def recognised(state: Mapping[str, Any]) -> str | None:
    """The variant that these names and shapes are, or None."""
    answers = (origin.names.recognises(state) for origin in ORIGINS)
    return next((variant for variant in answers if variant is not None), None)


def origin_of(variant: str) -> Origin:
    """The code base that a variant is from; raises KeyError if there is none."""
    for origin in ORIGINS:
        if variant in origin.names.VARIANTS:
            return origin
    raise KeyError(variant)
