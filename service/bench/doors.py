"""The REST doors of a deployment, as a load needs them: make a session, look at its counters.

BenchFailed
`- Refused       the deployment said no; `code` is the problem's, or the HTTP status
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from models.geometry import Box

TIMEOUT_S = 10.0
RESUMABLE_S = 30
"""How long a session waits for its stream to come back, on whichever replica."""
_WRITTEN = re.compile(r"[!-~]+")
"""What an address is written with: no blanks, no letters beyond ASCII."""
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class BenchFailed(Exception):
    """The load cannot be put on this deployment; the message says why."""


class Refused(BenchFailed):
    """The deployment said no."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{detail} [{code}]")
        self.code = code


@dataclass(frozen=True, slots=True)
class Opened:
    """A session: the addresses of its stream and of itself."""

    id: str
    stream_url: str
    url: str


class Doors:
    """The doors at one address, with the credentials that it asks for."""

    def __init__(self, url: str, key: str | None) -> None:
        parts = _split(url)
        if parts is None:
            raise BenchFailed(f"{url!r} is no address of a deployment; it looks like http://127.0.0.1:8000")
        self.base = urlunsplit((_SCHEMES[parts.scheme], parts.netloc, parts.path.rstrip("/") + "/", "", ""))
        self._key = key

    def create(self, model: str | None, box: Box) -> Opened:
        """A session with one target. Blocks; raises BenchFailed."""
        wanted: dict[str, Any] = {"targets": [{"box": list(box.xywh())}], "detached_ttl_s": RESUMABLE_S}
        body = self._asked(urljoin(self.base, "v1/sessions"), wanted | ({"model": model} if model else {}))
        if not {"id", "stream_url"} <= set(body):
            raise BenchFailed(f"{self.base} gave no answer of a Lockon server")
        # It may be another replica's address: a whole one, or a path on this one.
        path = str(body["stream_url"])
        stream = urlsplit(path if "//" in path else urljoin(self.base, path.lstrip("/")))
        url = urlunsplit((_SCHEMES[stream.scheme], stream.netloc, stream.path.removesuffix("/stream"), "", ""))
        return Opened(str(body["id"]), urlunsplit(stream), url)

    def counters(self, opened: Opened) -> Mapping[str, int]:
        """What became of the session's frames so far. Blocks; raises BenchFailed."""
        counters: Mapping[str, int] = self._asked(opened.url)["counters"]
        return counters

    def _asked(self, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        try:
            with urlopen(Request(url, data, headers), timeout=TIMEOUT_S) as answer:  # noqa: S310 # http(s) only
                read = json.loads(answer.read())
        except HTTPError as error:
            raise _refusal(error) from error
        except URLError as error:
            raise BenchFailed(f"{url} cannot be reached: {error.reason}; is a Lockon server running there?") from error
        except (OSError, ValueError, HTTPException) as error:
            # What is no HTTP, or ends before it is whole, is told by its line or by what is missing.
            raise BenchFailed(f"{url} gave no answer of a Lockon server: {str(error).strip()}") from error
        if not isinstance(read, dict):
            raise BenchFailed(f"{url} gave no answer of a Lockon server")
        return read


def _split(url: str) -> SplitResult | None:
    """The parts of an address that can be asked, or None."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # looked at only now, and refused where it is no number
    except ValueError:
        return None
    if parts.scheme not in _SCHEMES or not parts.hostname or not _WRITTEN.fullmatch(url):
        return None
    return parts


def _refusal(error: HTTPError) -> Refused:
    """What a problem's body says, or the status alone where the answer has none."""
    try:
        problem = json.loads(error.read())
        return Refused(str(problem["code"]), str(problem["detail"]))
    except (OSError, ValueError, KeyError, TypeError, HTTPException):
        return Refused(str(error.code), f"{error.url} answered HTTP {error.code}, and not as a Lockon server does")
