"""The AsyncAPI document of the sockets, made from the message types.

`python -m service.protocol.asyncapi` writes it to service/protocol/asyncapi.json, which the server serves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from service.protocol.header import HEADER_BYTES, MAX_SEQ
from service.protocol.messages import CLIENT_MESSAGES
from service.protocol.server_messages import SERVER_MESSAGES

DOCUMENT = Path(__file__).parent / "asyncapi.json"
PROTOCOL_VERSION = "1.2.0"
"""Grows with every change of the messages: the last number for words, the middle one for fields and messages."""

CLIENT, SERVER = "client", "server"
_DESCRIPTION = """One WebSocket carries one stream of frames: images go up as binary messages, everything else is JSON \
text. The first message on `/v1/stream` is a `hello`. What the words mean stands in docs/protocol.md."""
_FRAME_DESCRIPTION = f"""A JPEG, PNG or WebP file, bare or after a header of {HEADER_BYTES} bytes (little-endian): \
`LKON`, u8 version 1, u8 kind (0 full frame, 1 window), u16 flags, u32 seq (to {MAX_SEQ}), u16 crop_w, u16 crop_h, \
u64 ts_us, u16 origin_x, u16 origin_y, u16 full_w, u16 full_h."""
_TICKET_QUERY = {
    "type": "object",
    "properties": {"ticket": {"type": "string", "description": "A ticket, where it is not a second sub-protocol"}},
}
_CHANNELS = {
    "stream": ("/v1/stream", "A new session, which the first message creates."),
    "sessionStream": ("/v1/sessions/{session_id}/stream", "A session that was made before by POST /v1/sessions."),
}


def asyncapi_document() -> dict[str, Any]:
    """The document, AsyncAPI 3.0.0."""
    messages, schemas = _group(CLIENT, CLIENT_MESSAGES)
    server_messages, server_schemas = _group(SERVER, SERVER_MESSAGES)
    assert not schemas.keys() & server_schemas.keys()
    messages |= {f"{CLIENT}.frame": _frame()} | server_messages
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lockon",
            "version": PROTOCOL_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(*words, messages) for name, words in _CHANNELS.items()},
        "operations": _operations(messages),
        "components": {
            "messages": messages,
            "schemas": schemas | server_schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key or a JWT, where the server asks for one.",
                }
            },
        },
    }


def _group(side: str, types: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The messages of one side by name, and the schemas that they use."""
    adapters: list[Any] = [(name, "validation", TypeAdapter(kind)) for name, kind in types.items()]
    found, definitions = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = definitions["$defs"]
    for schema in schemas.values():
        _tidy(schema, open_ended=side == SERVER)
    messages = {}
    for (name, _), payload in found.items():
        summary = schemas[payload["$ref"].rpartition("/")[2]]["description"]
        messages[f"{side}.{name}"] = {"name": name, "summary": summary, "payload": payload}
    return messages, schemas


def _tidy(schema: Any, *, open_ended: bool) -> None:
    """Takes out titles that only repeat names; and that no more fields may come, where a client ignores those."""
    if not isinstance(schema, dict):
        return
    schema.pop("title", None)
    if open_ended and schema.get("additionalProperties") is False:
        del schema["additionalProperties"]
    for name, value in schema.items():
        members = value.values() if name == "properties" else value if isinstance(value, list) else [value]
        for member in members:
            _tidy(member, open_ended=open_ended)


def _frame() -> dict[str, Any]:
    return {
        "name": "frame",
        "summary": "An image of the stream.",
        "description": _FRAME_DESCRIPTION,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }


def _channel(address: str, summary: str, messages: Iterable[str]) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "summary": summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "query": _TICKET_QUERY, "bindingVersion": "0.1.0"}},
    }
    if "{session_id}" in address:
        channel["parameters"] = {"session_id": {"description": "`id` of a session"}}
    return channel


def _operations(messages: Iterable[str]) -> dict[str, Any]:
    """What the server receives and sends on each channel."""
    operations = {}
    for channel in _CHANNELS:
        for side, action in ((CLIENT, "receive"), (SERVER, "send")):
            operations[f"{channel}.{action}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [
                    {"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages if name.startswith(side)
                ],
            }
    return operations


def document_text() -> str:
    """The document as it stands in the file."""
    return json.dumps(asyncapi_document(), indent=1) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document_text(), encoding="utf-8")
