"""The conventions of every family, in one closed table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.families import (
    dasiamrpn,
    lockon,
    siamfcpp,
    siamrpn,
    siamrpn_pytorch,
    siamrpn_tf,
    siamrpnpp_mmtracking,
    siamrpnpp_pytorch,
)
from models.families.rules import FamilyRules
from models.spec import Family

FAMILIES: Mapping[Family, FamilyRules] = MappingProxyType(
    {
        Family.LOCKON: lockon.RULES,
        Family.SIAMFCPP: siamfcpp.RULES,
        Family.SIAMRPN: siamrpn.RULES,
        Family.DASIAMRPN: dasiamrpn.RULES,
        Family.SIAMRPN_PYTORCH: siamrpn_pytorch.RULES,
        Family.SIAMRPN_TF: siamrpn_tf.RULES,
        Family.SIAMRPNPP_MMTRACKING: siamrpnpp_mmtracking.RULES,
        Family.SIAMRPNPP_PYTORCH: siamrpnpp_pytorch.RULES,
    }
)
