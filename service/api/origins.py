"""Which web pages may open sockets, and which names lead here: a foreign site must not watch a camera through its
visitor's browser."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from service.security.addresses import is_loopback


def origin_allowed(origin: str | None, host: str, allowed: Collection[str], *, listens_on_loopback: bool) -> bool:
    """Whether a handshake with this Origin and Host may go on. Programs other than browsers send no Origin.

    A page from the server's own host is fine, but on a loopback listener only under a loopback name: any other name
    that leads here may be an attacker's, who made it point to 127.0.0.1."""
    if origin is None or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    return is_loopback(name) or (parts.netloc == host and not listens_on_loopback)


def host_allowed(host: str, allowed: Collection[str], *, listens_on_loopback: bool) -> bool:
    """Whether a request with this Host is meant for this server.

    A name that an attacker makes point to 127.0.0.1 makes his page one of this server's own in the browser's eyes."""
    name = host_name(host)
    if name in allowed or is_loopback(name):
        return True
    return not listens_on_loopback and not allowed


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
