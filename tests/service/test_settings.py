"""Settings: the environment, the flags over it, and one clear line for what is wrong."""

import hashlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from secret_words import PASSWORDS, seen

from service.cli import main
from service.settings import Settings, SettingsError, read_settings


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MULAN_PORT", "MULAN_HOST", "MULAN_API_KEYS"):
        monkeypatch.delenv(name, raising=False)


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULAN_PORT", "9000")
    monkeypatch.setenv("MULAN_MODELS", "/somewhere")
    settings = read_settings(port="9001", host=None)
    assert (settings.port, settings.host, settings.models) == (
        9001,
        "127.0.0.1",
        Path("/somewhere"),
    )
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_an_empty_cache_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(cache="kept").cache == Path("kept")
    monkeypatch.setenv("MULAN_CACHE", "")
    assert read_settings().cache is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MULAN_PROT", "1", "MULAN_PROT: no such setting"),
        ("MULAN_PORT", "http", "MULAN_PORT"),
        ("MULAN_PORT", "65536", "65535"),
        ("MULAN_STORE", "kafka://", "memory"),
        ("MULAN_DRAIN_S", "nan", "MULAN_DRAIN_S"),
        ("MULAN_DRAIN_S", "-1", "greater than or equal to 0"),
        ("MULAN_THREADS", "0", "MULAN_THREADS (--threads)"),
        ("MULAN_HOST", "0.0.0.0", "--insecure"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.splitlines()) == 1


def test_a_wrong_flag_stops_the_start_with_one_line() -> None:
    result = CliRunner().invoke(main, ["serve", "--port", "70000"])
    assert result.exit_code == 2
    assert "65535" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert read_settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
def test_past_loopback_asks_for_keys_or_consent(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with pytest.raises(SettingsError, match="without API keys"):
        read_settings(host=host)
    assert read_settings(host=host, insecure=True).insecure
    monkeypatch.setenv("MULAN_API_KEYS", "alpha")
    assert read_settings(host=host).host == host
    monkeypatch.setenv("MULAN_API_KEYS", " , ")
    with pytest.raises(SettingsError, match="without API keys"):
        read_settings(host=host)


def test_keys_are_kept_as_digests_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULAN_API_KEYS", "alpha, beta,")
    settings = read_settings()
    assert settings.api_keys == tuple(hashlib.sha256(key).digest() for key in (b"alpha", b"beta"))
    assert "alpha" not in repr(settings)
    assert "api_keys" not in repr(settings)


def test_a_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULAN_STORE", "redis:/user:secret@example")
    with pytest.raises(SettingsError) as refusal:
        read_settings()
    assert "MULAN_STORE" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert "secret" not in repr(read_settings(store="redis://user:secret@example/0"))


COMMANDS = [
    ["serve", "--port", "0"],
    ["api", "--port", "0"],
    ["worker"],
    ["jobs", "list"],
    ["jobs", "dead", "list"],
]
# Passwords that a URL cannot have as they are; with the others a process starts.
CUT_OFF = [password for password in PASSWORDS if re.search(r"[#/?\s]", password)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("password", CUT_OFF)
@pytest.mark.parametrize("by_flag", [False, True])
def test_no_command_tells_of_a_password(
    monkeypatch: pytest.MonkeyPatch, command: list[str], password: str, by_flag: bool
) -> None:
    url = f"redis://user:{password}@127.0.0.1:1/0"
    if by_flag:
        command = [*command, "--store", url]
    else:
        monkeypatch.setenv("MULAN_STORE", url)
    result = CliRunner().invoke(main, command)
    assert result.exit_code in (1, 2)
    assert not seen(password, result.output)
    assert "MULAN_STORE" in result.output
    assert "percent-encoded" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    "before",
    [
        "",
        "serve",
        "worker --threads",
        "jobs",
        "jobs list",
        "jobs list --limit",
        "jobs list --status",
        "jobs dead retry a",
        "models",
        "models show a",
    ],
)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_url_in_the_wrong_place_is_not_repeated(before: str, password: str) -> None:
    result = CliRunner().invoke(main, [*before.split(), f"redis://user:{password}@h/0"])
    assert result.exit_code == 2
    assert not seen(password, result.output)


def refusal_of(**flags: str) -> SettingsError | None:
    """The refusal of these settings; None where they are valid, as any text is a folder's name."""
    try:
        read_settings(**flags)
    except SettingsError as refusal:
        return refusal
    return None


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_no_malformed_value_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever was put into the wrong variable, by mistake."""
    variable = f"MULAN_{name.upper()}"
    monkeypatch.setenv(variable, "redis://:hunter2@h#\udcff")
    if refusal := refusal_of():
        assert variable in str(refusal) or name == "host"
        assert "hunter2" not in str(refusal)
        assert refusal.__suppress_context__


@pytest.mark.parametrize("password", CUT_OFF)
def test_a_collector_s_password_is_not_told(password: str) -> None:
    with pytest.raises(SettingsError, match="MULAN_OTLP_ENDPOINT") as refusal:
        read_settings(otlp_endpoint=f"http://user:{password}@127.0.0.1:4318")
    assert not seen(password, str(refusal.value))
    assert "hunter2" not in repr(read_settings(otlp_endpoint="http://user:hunter2@h:4318"))


def test_every_setting_but_the_secrets_is_a_flag() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).output
    for name in Settings.model_fields.keys() - {"api_keys", "callback_secret"}:
        assert f"--{name.replace('_', '-')}" in text
    assert "--api-keys" not in text
    assert "--callback-secret" not in text


def test_sources_are_names_apart_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().sources == ()
    monkeypatch.setenv("MULAN_SOURCES", "line-1, camera.2,")
    assert read_settings().sources == ("line-1", "camera.2")
    assert read_settings(sources="a,b").sources == ("a", "b")
    monkeypatch.setenv("MULAN_SOURCES", "")
    assert read_settings().sources == ()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("a,a", "names a source twice"),
        ("a,none", "may not contain none"),
        ("other", "may not contain other"),
        ("line 1", "should be names of"),
        ("x" * 65, "should be names of"),
        (",".join(f"line-{number}" for number in range(33)), "at most 32 names"),
    ],
)
def test_sources_that_are_refused(names: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"MULAN_SOURCES \(--sources\)") as refusal:
        read_settings(sources=names)
    assert words in str(refusal.value)
