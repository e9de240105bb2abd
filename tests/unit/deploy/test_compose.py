"""deploy/compose: a fleet on one machine."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings, load_settings
from tests.unit.deploy.tools import DEPLOY, ran

COMPOSE = DEPLOY / "compose"
FILE = COMPOSE / "compose.yaml"
TOKEN_KEY = "0123456789abcdef" * 2
REPLICAS = ("lockon-1", "lockon-2", "lockon-3")


def written() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return read


@functools.cache
def resolved() -> dict[str, Any]:
    """The file as Docker's own tool understands it, with what it extends and includes."""
    command = ["docker", "compose"] if _has_plugin() else ["docker-compose"]
    out = ran(command[0], *command[1:], "-f", FILE, "config", LOCKON_TOKEN_KEY=TOKEN_KEY)
    read: dict[str, Any] = yaml.safe_load(out)
    return read


def _has_plugin() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


def test_docker_reads_the_file_and_it_is_clean() -> None:
    services = resolved()["services"]
    assert set(services) == {"edge", *REPLICAS, "valkey", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_one_home_for_the_rules_and_the_dashboard() -> None:
    services = resolved()["services"]
    mounted = {
        str(volume).split(":")[0] if isinstance(volume, str) else volume["source"]
        for name in ("prometheus", "grafana", "edge")
        for volume in services[name]["volumes"]
    }
    for path in ("docker/alerts.yml", "docker/grafana/dashboards", "deploy/compose/haproxy.cfg"):
        assert str(DEPLOY.parent / path) in mounted
    assert all(Path(each).exists() for each in mounted if each.startswith("/"))


def test_every_port_is_for_this_machine_only() -> None:
    for service in written()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert [name for name, service in written()["services"].items() if "ports" in service] == ["edge"]


@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_share_a_store_and_are_told_how_clients_reach_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = written()["services"][name]
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{LOCKON_TOKEN_KEY[^}]*\}", TOKEN_KEY, value))
    settings: Settings = load_settings()
    assert settings.fleet.address == f"/n/{name}"
    assert settings.store.url is not None
    assert settings.store.url.get_secret_value() == "redis://valkey:6379/0"
    assert settings.store.token_keys[0].get_secret_value() == TOKEN_KEY
    assert int(service["stop_grace_period"].removesuffix("s")) > settings.limits.drain_s + 5


def test_without_a_secret_nothing_starts() -> None:
    command = ("docker", "compose") if _has_plugin() else ("docker-compose",)
    if shutil.which(command[0]) is None:
        pytest.skip("docker-compose is missing")
    ended = subprocess.run([*command, "-f", FILE, "config"], capture_output=True, text=True)
    assert ended.returncode != 0
    assert "LOCKON_TOKEN_KEY is missing" in ended.stderr


def test_haproxy_reads_its_file_with_what_compose_tells_it() -> None:
    told = written()["services"]["edge"]["environment"]
    addresses = {name: "127.0.0.1:8000" if name.startswith("LOCKON_") else value for name, value in told.items()}
    assert {f"LOCKON_{i}" for i in (1, 2, 3)} < set(told)
    ran("haproxy", "-c", "-f", COMPOSE / "haproxy.cfg", **addresses)


def test_prometheus_reads_its_file_and_scrapes_every_replica(tmp_path: Path) -> None:
    for path in (COMPOSE / "prometheus.yml", DEPLOY.parent / "docker" / "alerts.yml"):
        shutil.copy(path, tmp_path)
    ran("promtool", "check", "config", tmp_path / "prometheus.yml")
    scraped = yaml.safe_load((COMPOSE / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert [job["job_name"] for job in scraped] == ["lockon"]
    assert scraped[0]["static_configs"][0]["targets"] == [f"{name}:8000" for name in REPLICAS]
