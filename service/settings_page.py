"""The documented table of all settings: `python -m service.settings_page` writes it to docs/settings.md."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from service.settings import CONFIG_VARIABLE, ENV_PREFIX, Settings


def settings_table() -> str:
    """The documented table of all settings, in Markdown."""
    lines = ["| setting | environment | type | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for section, field in Settings.model_fields.items():
        assert isinstance(field.default, BaseModel)
        for key, setting in type(field.default).model_fields.items():
            extra = setting.json_schema_extra
            default = extra["shown"] if isinstance(extra, dict) else _shown(setting.default)
            cells = (f"`{section}.{key}`", f"`{ENV_PREFIX}{section}__{key}`".upper(), _type_name(setting.annotation))
            lines.append(f"| {' | '.join(cells)} | {default} | {setting.description} |")
    return "\n".join(lines)


def settings_page() -> str:
    """docs/settings.md."""
    return (
        "# Settings\n\n"
        "Each value is taken from the last of these places that names it: the defaults below, the TOML file "
        f"(`lockon serve --config FILE`, or the variable `{CONFIG_VARIABLE}`), the environment, the command line's "
        "flags. Unknown names are refused. Lists in the environment are JSON.\n\n"
        f"{settings_table()}\n\n"
        "This page is written by `python -m service.settings_page`.\n"
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value in ([], "", SecretStr("")):
        return "none"
    return ", ".join(f"`{item}`" for item in value) if isinstance(value, list) else f"`{value}`"


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{choice}`" for choice in annotation)
    if hasattr(annotation, "__args__") and getattr(annotation, "__origin__", None) is Literal:
        return ", ".join(f"`{choice}`" for choice in annotation.__args__)
    choices = [_type_name(choice) for choice in get_args(annotation) if choice is not type(None)]
    if get_origin(annotation) in (Union, UnionType):
        return ", ".join(choices)
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", SecretStr: "text"}
    return names.get(annotation, "list of text")


def main(arguments: list[str]) -> None:
    """Writes the page to the file given, by default docs/settings.md."""
    target = Path(arguments[0] if arguments else "docs/settings.md")
    target.parent.mkdir(exist_ok=True)
    target.write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
