"""The store that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.settings import SettingsInvalid
from service.settings_sections import StoreSettings

if TYPE_CHECKING:
    from service.store.port import SessionStore


def open_store(settings: StoreSettings, node: str) -> SessionStore | None:
    """The store, not connected yet; None where there is none. Raises SettingsInvalid."""
    if settings.url is None:
        return None
    try:
        from service.store.redis import RedisStore
        from service.store.sealing import Seal, SealedStore
    except ModuleNotFoundError as error:
        raise SettingsInvalid("store.url needs the extra `redis`: pip install 'lockon[redis]'") from error
    try:
        store = RedisStore(settings.url.get_secret_value(), node, settings.timeout_s)
    except ValueError as error:
        raise SettingsInvalid(f"store.url: {error}") from error
    return SealedStore(store, Seal([key.get_secret_value() for key in settings.token_keys]))
