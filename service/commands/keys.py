"""`lockon keys`: the API keys of a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import CommandFailed, reported
from service.commands.serve import Config

if TYPE_CHECKING:
    from service.settings_sections import AuthSettings

app = typer.Typer(help="Make, list and revoke the API keys of a server.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="File of keys. [what the setting auth.keys says]", dir_okay=False),
]


@app.command()
def create(
    client: Annotated[str, typer.Argument(help="Whose key this is. Keys of one client share sessions and quotas.")],
    admin: Annotated[
        bool, typer.Option("--admin", help="Also for loading models, where models.admin is set, and for /metrics.")
    ] = False,
    file: File = None,
    config: Config = None,
) -> None:
    """Make a key, print it once, and add its hash to the file.

    A running server takes it at once. To replace a key without a gap, create the new one first, then revoke the old."""
    from service.security.keys import CLIENT_PATTERN, ORDINARY_SCOPES, KeysInvalid, new_key, read_keys, write_keys
    from service.security.principals import Scope
    from service.settings import SettingsInvalid

    with reported(SettingsInvalid, KeysInvalid):
        settings = _settings(config)
        path = _path(file, settings)
        if not re.fullmatch(CLIENT_PATTERN, client):
            raise CommandFailed(f"{client!r}: a client's name has 1 to 64 of the characters A-Z a-z 0-9 _ . : -")
        records = read_keys(path) if path.exists() else {}
        scopes = [*ORDINARY_SCOPES, Scope.ADMIN] if admin else [*ORDINARY_SCOPES]
        key, record = new_key(client, scopes, settings.pepper.get_secret_value())
        write_keys(path, [*records.values(), record])
    typer.echo(f"Key {record.id} of {client} is in {path}. It is shown only here:", err=True)
    typer.echo(key)


@app.command("list")
def show(file: File = None, config: Config = None) -> None:
    """List the keys of the file: id, client, day, scopes."""
    from service.security.keys import KeysInvalid, read_keys
    from service.settings import SettingsInvalid

    with reported(SettingsInvalid, KeysInvalid):
        records = read_keys(_path(file, _settings(config)))
    for record in records.values():
        typer.echo(f"{record.id}  {record.client}  {record.created:%Y-%m-%d}  {' '.join(record.scopes)}")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as in the list and in the key itself.")],
    file: File = None,
    config: Config = None,
) -> None:
    """Take a key out of the file. A running server refuses it at once and closes its sockets within seconds."""
    from service.security.keys import KeysInvalid, read_keys, write_keys
    from service.settings import SettingsInvalid

    with reported(SettingsInvalid, KeysInvalid):
        path = _path(file, _settings(config))
        records = read_keys(path)
        if records.pop(key_id, None) is None:
            raise CommandFailed(f"{path} has no key {key_id!r:.100}; see `lockon keys list`")
        write_keys(path, records.values())


def _settings(config: Path | None) -> AuthSettings:
    from service.settings import load_settings

    return load_settings(config=config).auth


def _path(file: Path | None, settings: AuthSettings) -> Path:
    path = file or settings.keys
    if path is None:
        raise CommandFailed("which file? Name it by --file, or set auth.keys")
    return path
