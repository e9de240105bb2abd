"""Facts that documents and deployment files state about the code, and that go stale unless they are checked."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from service.api.problems import STATUS
from service.cli import app
from service.protocol.header import HEADER_BYTES, FrameRejected, Kind, Reason, read_header
from service.settings_page import settings_page
from service.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "client" / "README.md",
    ROOT / "deploy" / "kubernetes" / "README.md",
]
MAX_FILE_BYTES = 12_000_000


def _commands() -> list[tuple[str, list[str]]]:
    """Each use of the `lockon` command in a document: (document, words after `lockon`)."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        for block, inline in re.findall(r"```sh\n(.*?)```|`((?:\.venv/bin/)?lockon [^`\n]+)`", text, re.DOTALL):
            for part in re.split(r"&&|\n", block or inline):
                command, _, rest = part.strip().partition(" ")
                if command.removeprefix(".venv/bin/") == "lockon":
                    found.append((document.name, shlex.split(rest, comments=True)))
    return found


def _resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The sub-command that words name, and the words that are left."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while isinstance(command, TyperGroup) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def _metric_names() -> set[str]:
    """Every metric that the server exposes, and the series of histograms."""
    names: set[str] = set()
    for family in Metrics().registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("", "_bucket", "_sum", "_count")}.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def _metrics_used(path: Path) -> set[str]:
    return set(re.findall(r"lockon_(?!client)[a-z_]+", path.read_text(encoding="utf-8")))


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(
    ("document", "words"), _commands(), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_every_command_in_the_documents_exists_with_its_options(document: str, words: list[str]) -> None:
    command, rest = _resolved(words)
    unfinished = isinstance(command, TyperGroup) and rest and not rest[0].startswith("-")
    assert not unfinished, f"{document}: there is no command lockon {' '.join(words)}"
    known = {"--help", "-h"} | {
        name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    unknown = [word for word in rest if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
    assert not unknown, f"{document}: lockon {' '.join(words)} has no {unknown}"


def test_the_documents_name_commands_at_all() -> None:
    assert {words[0] for _, words in _commands()} >= {"serve", "track", "evaluate", "train", "export"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_to_a_file_and_heading(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{document.name}: {link}"


def test_the_settings_page_is_what_the_generator_writes() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_the_protocol_page_lists_every_reject_reason_and_the_api_page_every_problem() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert [reason for reason in Reason if f"`{reason}`" not in protocol] == []
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [code for code, status in STATUS.items() if f"| `{code}` | {status}" not in api] == []


def test_the_header_vectors_of_the_protocol_page_do_what_they_say() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    vectors = re.findall(r"^((?:[0-9a-f]{8} ){8}) (\w+)", protocol, re.MULTILINE)
    assert len(vectors) == 4
    good = []
    for digits, outcome in vectors:
        header = bytes.fromhex(digits)
        assert len(header) == HEADER_BYTES
        if outcome == "ok":
            read = read_header(header + b"image", last_seq=0)
            good.append((read.kind, read.seq, read.ts_us, read.full_w, read.full_h))
        else:
            with pytest.raises(FrameRejected) as caught:
                read_header(header + b"image", last_seq=0)
            assert caught.value.reason == outcome
    assert good == [(Kind.FULL, 1, 1_000_000, 1280, 720), (Kind.WINDOW, 1234, 81_234_567, 1280, 720)]


@pytest.mark.parametrize(
    "path", [ROOT / "docs" / "metrics.md", ROOT / "docs" / "how-to.md"], ids=lambda path: path.name
)
def test_documents_use_metrics_that_exist(path: Path) -> None:
    used = _metrics_used(path)
    assert used
    assert used - _metric_names() == set()


def test_compose_mounts_files_that_exist_and_locks_every_service_down() -> None:
    compose = _yaml(ROOT / "docker-compose.yml")
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).exists(), volume


def test_the_image_runs_unprivileged_on_the_port_that_prometheus_scrapes() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE)
    assert stages[-1] == "cpu"
    for stage in ("cuda", "cpu"):
        body = dockerfile.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
        for line in ("USER 10001:10001", "EXPOSE 8000", "HEALTHCHECK", 'CMD ["lockon", "serve", "--host", "0.0.0.0"]'):
            assert line in body, (stage, line)
    scrape = _yaml(ROOT / "docker" / "prometheus.yml")["scrape_configs"][0]
    assert scrape["static_configs"] == [{"targets": ["lockon:8000"]}]


def test_no_file_of_the_repository_is_large() -> None:
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size for path in _tracked() if path.stat().st_size > MAX_FILE_BYTES
    }
    assert large == {}


def test_screenshots_are_pictures() -> None:
    for path in (ROOT / "docs").glob("*.png"):
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n"), path.name
        assert min(struct.unpack_from(">II", data, 16)) >= 400, path.name
