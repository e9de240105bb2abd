"""API keys: `lk_live_<8-character id>_<43-character secret>`, of which only a keyed hash is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import tempfile
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.security.principals import Principal, Scope, Unauthenticated

PREFIX = "lk_"
ORDINARY_SCOPES = (Scope.SESSIONS, Scope.STREAM, Scope.MODELS)
CLIENT_PATTERN = r"^[A-Za-z0-9_.:-]{1,64}$"

_KEY = re.compile(r"lk_[a-z0-9]{1,16}_([a-z2-7]{8})_([A-Za-z0-9_-]{43})")
_HEADING = "# API keys of Lockon, written by `lockon keys`: only their hashes. Whoever has lost a key gets a new one.\n"
_NOBODY = "0" * 64

_log = structlog.get_logger("lockon.keys")


class KeysInvalid(ValueError):
    """The file of keys cannot be used; the message says why."""


class KeyRecord(BaseModel):
    """What is kept of a key. `hash` is HMAC-SHA-256 of the secret, with the pepper as its key, in hexadecimal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z2-7]{8}$")]
    client: Annotated[str, Field(pattern=CLIENT_PATTERN)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: list[Scope]
    created: datetime


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: list[KeyRecord] = []


def new_key(client: str, scopes: Iterable[Scope], pepper: str) -> tuple[str, KeyRecord]:
    """A fresh key for that client, and its record; the key itself is kept nowhere."""
    key_id = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    secret = secrets.token_urlsafe(32)
    record = KeyRecord(
        id=key_id,
        client=client,
        hash=hashed(secret, pepper),
        scopes=list(scopes),
        created=datetime.now(UTC).replace(microsecond=0),
    )
    return f"{PREFIX}live_{key_id}_{secret}", record


def hashed(secret: str, pepper: str) -> str:
    """What is kept of a secret. A fast hash is enough: nobody can guess 256 random bits."""
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()


def read_keys(path: Path) -> dict[str, KeyRecord]:
    """The records of a file, by the keys' ids; raises KeysInvalid."""
    try:
        records = _KeyFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).key
    except OSError as error:
        raise KeysInvalid(f"{path}: cannot be read: {error.strerror}; `lockon keys create` makes one") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KeysInvalid(f"{path}: is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise KeysInvalid(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    keys = {record.id: record for record in records}
    if len(keys) < len(records):
        raise KeysInvalid(f"{path}: two keys have the same id")
    return keys


def write_keys(path: Path, records: Iterable[KeyRecord]) -> None:
    """Replaces the file in one step, so that a server never reads half of it."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    text = _HEADING + "".join(map(_table, records))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    temporary = Path(file.name)
    temporary.chmod(mode)
    temporary.replace(path)


def _table(record: KeyRecord) -> str:
    # Every value is of a known pattern, so none needs escaping.
    scopes = ", ".join(f'"{scope}"' for scope in record.scopes)
    return (
        f'\n[[key]]\nid = "{record.id}"\nclient = "{record.client}"\nhash = "{record.hash}"\n'
        f"scopes = [{scopes}]\ncreated = {record.created.isoformat()}\n"
    )


class ApiKeys:
    """The keys of a file; obeys the port. The file is read again when it changes: a key that is gone is out at once."""

    def __init__(self, path: Path, pepper: str) -> None:
        self._path = path
        self._pepper = pepper
        self._version = _version(path)
        self._records = read_keys(path)

    async def principal(self, bearer: str) -> Principal | None:
        """Whose key that is."""
        if not bearer.startswith(PREFIX):
            return None
        self._refresh()
        parts = _KEY.fullmatch(bearer)
        record = self._records.get(parts[1]) if parts else None
        # An unknown id costs the same comparison: the time of an answer tells nothing.
        known = record.hash if record else _NOBODY
        if not hmac.compare_digest(hashed(parts[2] if parts else "", self._pepper), known) or record is None:
            raise Unauthenticated("this API key is not valid")
        return Principal(f"client:{record.client}", frozenset(record.scopes), key=record.id)

    def stands(self, principal: Principal) -> bool:
        """False once a key was taken out of the file."""
        if principal.key is None:
            return True
        self._refresh()
        return principal.key in self._records

    def _refresh(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._records = read_keys(self._path)
            _log.info("the keys were read again", kind="keys_read", keys=len(self._records))
        except KeysInvalid as error:
            # A slip while editing must not lock everybody out; whoever edits sees this line.
            _log.error("the keys were not read again", kind="keys_refused", reason=str(error))


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found: os.stat_result = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
