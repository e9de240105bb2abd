"""Ids as the protocol writes them: a prefix and 128 random bits."""

from __future__ import annotations

import base64
import secrets
from typing import Literal


def new_id(prefix: Literal["ses", "tgt", "req"]) -> str:
    """E.g. `ses_` and 26 characters of lowercase base32."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(16)).decode().rstrip('=').lower()}"
