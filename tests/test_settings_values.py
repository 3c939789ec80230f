"""Which addresses may be called, and which hosts count as this machine or its network."""

import pytest

from llm_router.errors import SettingsError
from llm_router.settings_sources import Given
from llm_router.settings_values import checked, is_loopback, is_private, is_secret


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("http://10.1.2.3", "http://10.1.2.3"),
        ("http://100.64.0.1", "http://100.64.0.1"),
        ("http://ollama:11434", "http://ollama:11434"),
        ("http://box.local", "http://box.local"),
        ("http://host.docker.internal:11434", "http://host.docker.internal:11434"),
    ],
)
def test_an_address_is_taken_without_its_last_slash(url: str, expected: str) -> None:
    assert checked("upstream.base_url", Given(url, "here")) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://openrouter.ai/api/v1",
        "http://8.8.8.8",
        "http://local.evil.com",
        "https://user:password@openrouter.ai",
        "https://user@openrouter.ai",
        "https://openrouter.ai/?key=1",
        "https://openrouter.ai/#x",
        "https://",
        "https://a:99999",
        "https://a b",
        "https://a/\r\nX-Evil: 1",
        "https://[::1",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "openrouter.ai",
    ],
)
@pytest.mark.parametrize("key", ["upstream.base_url", "ollama.base_url"])
def test_other_addresses_are_refused(key: str, url: str) -> None:
    """T08: https unless the host is this machine's or a private network's."""
    with pytest.raises(
        SettingsError, match="here: must be an http:// or https:// address"
    ) as caught:
        checked(key, Given(url, "here"))
    assert "password" not in str(caught.value).replace("user name, password, ?", "")


def test_an_address_ends_before_the_path_of_a_call() -> None:
    with pytest.raises(SettingsError, match="what comes before /chat/completions"):
        checked("upstream.base_url", Given("https://openrouter.ai/api/v1/chat/completions", "here"))


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("key", ["upstream.api_key", "server.admin_key", "server.client_keys"])
def test_a_key_with_the_quotes_of_a_file_around_it_is_refused(key: str, quote: str) -> None:
    with pytest.raises(SettingsError, match="without quotes around"):
        checked(key, Given(f"{quote}sk-1{quote}", "here", "VARIABLE"))


@pytest.mark.parametrize(
    ("host", "loopback", "private"),
    [
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("localhost", True, True),
        ("192.168.0.1", False, True),
        ("fd00::1", False, True),
        ("0.0.0.0", False, True),
        ("1.1.1.1", False, False),
        ("2606:4700::1111", False, False),
        ("api.localhost", False, True),
        ("example.com", False, False),
        ("", False, True),
    ],
)
def test_hosts_are_judged_by_address_or_name(host: str, loopback: bool, private: bool) -> None:
    assert (is_loopback(host), is_private(host)) == (loopback, private)


def test_the_secrets_are_known() -> None:
    assert is_secret("server.admin_key")
    assert is_secret("server.client_keys")
    assert is_secret("upstream.api_key")
    assert not is_secret("server.allowed_hosts")
