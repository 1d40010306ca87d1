"""The allow-list of hosts that the service calls."""

import base64
import ipaddress
from collections.abc import Sequence

import pytest

from service.hosts import AllowedHosts
from service.settings import SettingsError, read_settings
from service.urls import UrlError

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
LIST = ("hooks.example.com", ".example.org", "10.1.0.0/16", "127.0.0.1", "fd00::/8")


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/done?job=1",
        "http://HOOKS.example.com.:8080/",
        "https://a.b.example.org/",
        "http://10.1.2.3/",
        "http://127.0.0.1:9000/x",
        "http://[fd00::1]/x",
    ],
)
def test_urls_that_may_be_called(url: str) -> None:
    AllowedHosts.of(LIST).check_url(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.com/", "not in MULAN_CALLBACK_HOSTS"),
        ("https://evilhooks.example.com/", "not in MULAN_CALLBACK_HOSTS"),
        ("https://hooks.example.com.evil.net/", "not in MULAN_CALLBACK_HOSTS"),
        ("https://example.org/", "not in MULAN_CALLBACK_HOSTS"),
        ("http://10.2.0.1/", "not in MULAN_CALLBACK_HOSTS"),
        ("http://169.254.169.254/latest/meta-data", "not in MULAN_CALLBACK_HOSTS"),
        ("http://localhost/", "not in MULAN_CALLBACK_HOSTS"),
        ("http://2130706433/", "not in MULAN_CALLBACK_HOSTS"),
        ("http://0x7f.1/", "not in MULAN_CALLBACK_HOSTS"),
        ("ftp://hooks.example.com/", "should be http"),
        ("file:///etc/passwd", "should be http"),
        ("//hooks.example.com/", "should be http"),
        ("", "should be http"),
        ("http://hooks.example.com:99999/", "should be http"),
        ("http://[::1/", "should be http"),
        ("https://user:word@hooks.example.com/", "no user"),
        ("https://hooks.example.com@evil.net/", "no user"),
        ("https://hooks.example.com/#a", "no fragment"),
        ("https://hooks.example.com/\r\nX: y", "visible ASCII"),
        ("https://hooks.example.com/ä", "visible ASCII"),
        ("https://hooks.example.com/" + "a" * 2048, "at most 2048"),
        ("https://hooks.example.com\\@evil.net/", "should be http|not in|no user"),
    ],
)
def test_urls_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(UrlError, match=words) as refusal:
        AllowedHosts.of(LIST).check_url(url)
    assert "user:word" not in str(refusal.value)


PRIVATE = ["127.0.0.1", "10.2.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0"]
PRIVATE += ["::1", "fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1"]
PRIVATE += ["2002:7f00:1::", "fd00:ec2::254", "224.0.0.1", "ff02::1", "255.255.255.255"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_allowed_name_does_not_lead_to_a_private_address(address: str) -> None:
    hosts = AllowedHosts.of(("hooks.example.com",))
    assert not hosts.reaches(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_reached(address: str) -> None:
    assert AllowedHosts.of(("hooks.example.com",)).reaches(ipaddress.ip_address(address))


def test_a_private_address_is_reached_if_the_list_has_it() -> None:
    hosts = AllowedHosts.of(LIST)
    for address in ("10.1.2.3", "127.0.0.1", "fd00::7"):
        assert hosts.reaches(ipaddress.ip_address(address))
    assert not hosts.reaches(ipaddress.ip_address("127.0.0.2"))


@pytest.mark.parametrize("entries", [("a b",), ("http://x",), ("x/24",), ("bücher.de",), ("..",)])
def test_entries_that_are_neither(entries: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="should be host names"):
        AllowedHosts.of(entries)


def test_hosts_need_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="set MULAN_CALLBACK_SECRET"):
        read_settings(callback_hosts="hooks.example.com")
    monkeypatch.setenv("MULAN_CALLBACK_SECRET", SECRET)
    settings = read_settings(callback_hosts="hooks.example.com, 10.0.0.0/8")
    assert settings.callback_hosts == ("hooks.example.com", "10.0.0.0/8")
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("secret", ["hunter2", "whsec_hunter2", "whsec_" + "aGk=", SECRET[6:]])
def test_a_secret_that_is_none_is_not_told(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULAN_CALLBACK_SECRET", secret)
    with pytest.raises(SettingsError, match="MULAN_CALLBACK_SECRET") as refusal:
        read_settings()
    assert secret not in str(refusal.value)
