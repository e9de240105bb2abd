"""The settings tree: precedence, refusals, and the documented table."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import SettingsInvalid, load_settings
from service.settings_page import settings_page


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lockon.toml"
    file.write_text('[server]\nport = 1\nlog_level = "debug"\nhost = "10.0.0.1"\n[limits]\nmax_targets = 3\n')
    monkeypatch.setenv("LOCKON_SERVER__PORT", "2")
    monkeypatch.setenv("LOCKON_SERVER__LOG_LEVEL", "error")
    settings = load_settings({"server": {"port": 3, "host": None}}, file)
    assert (settings.server.port, settings.server.log_level) == (3, "error")
    assert (settings.server.host, settings.limits.max_targets) == ("10.0.0.1", 3)
    assert settings.models.default == "siamfcpp_light"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lockon.toml"
    file.write_text('[web]\nallowed_origins = ["https://app.example"]\n')
    monkeypatch.setenv("LOCKON_CONFIG", str(file))
    assert load_settings().web.allowed_origins == ["https://app.example"]


def test_lists_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKON_MODELS__ALSO", '["dummy"]')
    assert load_settings().models.also == ["dummy"]
    monkeypatch.setenv("LOCKON_MODELS__ALSO", "dummy")
    with pytest.raises(SettingsInvalid, match=r'"models".*lists are JSON'):
        load_settings()


def test_unknown_names_and_bad_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match=r"server\.prot"):
        load_settings({"server": {"prot": 1}})
    with pytest.raises(SettingsInvalid, match=r"server\.port: .*65535 \(it is 70000\)"):
        load_settings({"server": {"port": 70000}})
    with pytest.raises(SettingsInvalid, match=r"^models\.runtime: .*'auto'.*'openvino'.*\(it is 'x'\)$"):
        load_settings({"models": {"runtime": "x"}})
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load_settings(config=tmp_path / "none.toml")
    monkeypatch.setenv("LOCKON_SERVER__PROT", "1")
    with pytest.raises(SettingsInvalid, match=r"server\.prot"):
        load_settings()


@pytest.mark.parametrize(
    ("section", "key"), [("limits", "idle_timeout_s"), ("limits", "min_fps"), ("store", "lease_s")]
)
def test_limits_and_times_of_the_store_are_finite(section: str, key: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"^{section}\.{key}: .*finite number \(it is inf\)$"):
        load_settings({section: {key: float("inf")}})


def test_no_refusal_shows_a_secret() -> None:
    with pytest.raises(SettingsInvalid, match=r"token_keys") as refused:
        load_settings({"store": {"token_keys": ["hush"]}})
    assert "hush" not in str(refused.value)


def test_the_documented_table_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_page(), "run python -m service.settings_page"
