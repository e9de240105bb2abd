"""Every setting, once: defaults < TOML file < environment (LOCKON_SECTION__KEY) < flags of the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from service.settings_sections import (
    AuthSettings,
    EngineSettings,
    FleetSettings,
    LimitSettings,
    MetricsSettings,
    ModelSettings,
    QuotaSettings,
    ServerSettings,
    StoreSettings,
    TelemetrySettings,
    WebSettings,
)

ENV_PREFIX = "LOCKON_"
CONFIG_VARIABLE = "LOCKON_CONFIG"
_NUMBERS_AND_CHOICES = ("int_", "float_", "bool_", "less_than", "greater_than", "finite", "enum", "literal")
"""How pydantic's names begin of what can be wrong with a number or a choice."""


class SettingsInvalid(ValueError):
    """A setting is unknown or has a value that is not allowed; the message names it."""


class Settings(BaseSettings):
    """All of them. Build it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    server: ServerSettings = ServerSettings()
    models: ModelSettings = ModelSettings()
    auth: AuthSettings = AuthSettings()
    quotas: QuotaSettings = QuotaSettings()
    limits: LimitSettings = LimitSettings()
    store: StoreSettings = StoreSettings()
    fleet: FleetSettings = FleetSettings()
    engine: EngineSettings = EngineSettings()
    web: WebSettings = WebSettings()
    metrics: MetricsSettings = MetricsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and file arrive merged below; the environment stands between them."""
        return (init_settings,)


def load_settings(overrides: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """The settings in force. `overrides` are the flags, as {section: {key: value}}; None values are left out.

    `config` is the TOML file (else the one that LOCKON_CONFIG names). Raises SettingsInvalid."""
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    layers = (_from_file(named) if named else {}, _from_environment(), overrides or {})
    merged: dict[str, Any] = {}
    for layer in layers:
        for section, values in layer.items():
            if not isinstance(values, Mapping):
                raise SettingsInvalid(f"{section}: settings stand in a section, e.g. [server] port = 8000")
            present = {key: value for key, value in values.items() if value is not None}
            merged[section] = merged.get(section, {}) | present
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsInvalid(_first_reason(error)) from error


def _first_reason(error: ValidationError) -> str:
    """The first setting that is wrong, what it has to be (of a union, everything that it may be), and what it is."""
    messages: dict[str, list[str]] = {}
    errors = error.errors(include_url=False)
    for reason in errors:
        # Behind section and key stand places in a list, and the names of a union's members.
        setting = ".".join(str(part) for i, part in enumerate(reason["loc"]) if i < 2 or isinstance(part, int))
        messages.setdefault(setting, []).append(reason["msg"])
    setting, wanted = next(iter(messages.items()))
    kind = errors[0]["type"]
    if kind == "extra_forbidden":
        return f"{setting}: there is no such setting; docs/settings.md lists them all"
    # Of numbers and choices alone: any other text may be a secret.
    found = f" (it is {errors[0]['input']!r})" if kind.startswith(_NUMBERS_AND_CHOICES) else ""
    return f"{setting}: {'; or '.join(wanted)}{found}"


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: is no TOML: {error}") from error


def _from_environment() -> dict[str, Any]:
    """LOCKON_SECTION__KEY variables; unknown ones are kept, so that they are refused."""
    try:
        values: dict[str, Any] = EnvSettingsSource(Settings)()
    except SettingsError as error:
        example = f"""{ENV_PREFIX}MODELS__ALSO='["dummy"]'"""
        raise SettingsInvalid(f"{error}: in the environment lists are JSON, such as {example}") from error
    for name in os.environ:
        section, separator, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if name.startswith(ENV_PREFIX) and separator:
            values.setdefault(section, {}).setdefault(key, os.environ[name])
    return values
