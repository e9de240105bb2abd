"""Every published configuration by name: what `lockon models import --as NAME` takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.spec import ModelSpec
from models.variants import mmtracking, nanotrack, pysot, siamfcpp, siamrpn_2018, siamrpn_tf, siamrpnpp_pytorch


def merged(*tables: Mapping[str, ModelSpec]) -> Mapping[str, ModelSpec]:
    """One table of several; raises ValueError for a name that two of them hold."""
    variants: dict[str, ModelSpec] = {}
    for table in tables:
        if twice := sorted(variants.keys() & table.keys()):
            raise ValueError(f"two variants have the name {twice[0]}")
        variants |= table
    return MappingProxyType(variants)


VARIANTS = merged(
    siamfcpp.VARIANTS,
    siamrpn_2018.VARIANTS,
    siamrpn_tf.VARIANTS,
    pysot.VARIANTS,
    mmtracking.VARIANTS,
    siamrpnpp_pytorch.VARIANTS,
    nanotrack.VARIANTS,
)
