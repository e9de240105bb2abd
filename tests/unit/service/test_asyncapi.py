"""The AsyncAPI document: it is what the message types make, it is valid, and the protocol page tells the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from service.protocol.asyncapi import DOCUMENT, document_text
from service.protocol.messages import CLIENT_MESSAGES
from service.protocol.server_messages import SERVER_MESSAGES

META_SCHEMA = Path(__file__).with_name("asyncapi-3.0.0.json")
PROTOCOL_PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return loaded


def test_the_document_is_what_the_message_types_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document_text(), "write it by: python -m service.protocol.asyncapi"


def test_the_document_is_valid_asyncapi(document: dict[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(json.loads(META_SCHEMA.read_text(encoding="utf-8")))
    validator.validate(document)
    broken = document | {"operations": {"stream.receive": {"action": "recieve"}}}
    assert not validator.is_valid(broken)


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
    for reference in references:
        place: Any = document
        for part in reference.split("/"):
            place = place[part]
    assert len(references) > 30


def test_every_schema_of_the_document_is_a_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("name", CLIENT_MESSAGES)
def test_the_protocol_page_lists_each_field_of_a_clients_message(name: str) -> None:
    row = _row(name, "Messages from the client")
    assert [field for field in CLIENT_MESSAGES[name].model_fields if field != "type" and f"`{field}`" not in row] == []


@pytest.mark.parametrize("name", [name for name in SERVER_MESSAGES if name != "result"])
def test_the_protocol_page_lists_each_field_of_a_servers_message(name: str) -> None:
    row = _row(name, "Messages from the server")
    fields = SERVER_MESSAGES[name].__annotations__
    assert [field for field in fields if field != "type" and f"`{field}`" not in row] == []


def test_the_protocol_page_lists_each_field_of_a_result() -> None:
    section = PROTOCOL_PAGE.partition("### Result")[2].partition("## Frames")[0]
    assert [field for field in SERVER_MESSAGES["result"].__annotations__ if f'"{field}":' not in section] == []


def _row(name: str, heading: str) -> str:
    section = PROTOCOL_PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"{heading}: {name}"
    return rows[0]
