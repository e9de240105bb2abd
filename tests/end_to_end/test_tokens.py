"""Tokens of an issuer at the doors of a running server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from websockets.asyncio.client import connect

from tests.end_to_end.conftest import StartServer, Talk
from tests.end_to_end.guarding import KeyFile, bearer, refused, rest, streams


@pytest.fixture(scope="module")
def issuer() -> Iterator[tuple[str, Callable[..., str]]]:
    """A token issuer on loopback: the address of its keys, and what makes its tokens."""
    private = ed25519.Ed25519PrivateKey.generate()
    published = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key())) | {"kid": "k1"}
    document = json.dumps({"keys": [published]}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header("Location", "/keys")
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_arguments: object) -> None:
            pass

    def token(**changes: Any) -> str:
        claims = {"iss": "issuer", "aud": "lockon", "sub": "u", "tenant": "acme", "exp": time.time() + 600}
        scopes = {"scope": "stream sessions:write"}
        return jwt.encode(claims | scopes | changes, private, algorithm="EdDSA", headers={"kid": "k1"})

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/keys", token
        server.shutdown()
        thread.join()


async def test_tokens_of_the_issuer_open_what_their_scopes_say(
    start_server: StartServer, issuer: tuple[str, Callable[..., str]], tmp_path: Path
) -> None:
    address, token = issuer
    keys = KeyFile(tmp_path / "keys.toml")
    auth = {"keys": keys.path, "jwks": address, "issuer": "issuer", "audience": "lockon"}
    server = start_server({"auth": auth})
    await streams(server, additional_headers=bearer(token()))
    await streams(server, additional_headers=bearer(keys.new("beside-tokens")))
    async with rest(server, token()) as http:
        assert (await http.get("/v1/models")).status_code == 403
        session = (await http.post("/v1/sessions")).json()["id"]
    async with rest(server, token(tenant="other")) as http:
        assert (await http.get(f"/v1/sessions/{session}")).status_code == 404
    assert (await refused(server, additional_headers=bearer(token(aud="other")))).status_code == 401
    expired = bearer(token(exp=time.time() - 40))
    assert (await refused(server, additional_headers=expired)).status_code == 401


async def test_a_socket_ends_with_its_token(start_server: StartServer, issuer: tuple[str, Callable[..., str]]) -> None:
    address, token = issuer
    server = start_server({"auth": {"jwks": address, "issuer": "issuer", "audience": "lockon"}})
    nearly = token(exp=time.time() - 28)
    async with connect(server.ws + "/v1/stream", additional_headers=bearer(nearly)) as socket:
        talk = Talk(socket)
        await talk.ask({"type": "hello", "create": {}}, "welcome")
        warning = await talk.hear()
        assert warning["code"] == "soon_expiring"
        assert 0 < warning["data"]["expires_in_ms"] <= 2000
        assert (await talk.hear())["reason"] == "token_expiring"
        assert (await talk.close_code())[0] == 4401


async def test_redirects_to_other_keys_are_not_followed(
    start_server: StartServer, issuer: tuple[str, Callable[..., str]]
) -> None:
    address, token = issuer
    moved = address.replace("/keys", "/moved")
    server = start_server({"auth": {"jwks": moved, "issuer": "issuer", "audience": "lockon"}})
    assert (await refused(server, additional_headers=bearer(token()))).status_code == 401
