"""Names for the log that tell callers apart and say nothing about who they are."""

from __future__ import annotations

import ipaddress
from hashlib import blake2s

_BITS = {4: 24, 6: 48}


def tenant_hash(owner: str) -> str | None:
    """The same twelve digits for the same owner of sessions; None for everybody, where nobody is asked."""
    return blake2s(owner.encode(), digest_size=6).hexdigest() if owner else None


def peer_prefix(host: str | None) -> str | None:
    """The network around a client's address; None if that is no address."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, _BITS[address.version]), strict=False))
