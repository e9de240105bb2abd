"""The conventions of every family, in one closed table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.families import lockon, siamfcpp, siamrpn
from models.families.rules import FamilyRules
from models.spec import Family

FAMILIES: Mapping[Family, FamilyRules] = MappingProxyType(
    {
        Family.LOCKON: lockon.RULES,
        Family.SIAMFCPP: siamfcpp.RULES,
        Family.SIAMRPN: siamrpn.RULES,
    }
)
