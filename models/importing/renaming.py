"""Tables that turn the names of one code base's layers into ours."""

from __future__ import annotations

import re

Renaming = tuple[tuple[re.Pattern[str], str], ...]


def renaming(*pairs: tuple[str, str]) -> Renaming:
    """Pairs of a pattern for the beginning of a key and what stands there instead, as `re.sub` takes them."""
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def renamed(key: str, *stages: Renaming) -> str:
    """The key after each stage's first pattern that matches; what no pattern matches stays as it is."""
    for stage in stages:
        for pattern, replacement in stage:
            if pattern.match(key):
                key = pattern.sub(replacement, key, count=1)
                break
    return key
