"""Where settings come from, which of them wins, and what refuses a start."""

import sys
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from llm_router.errors import SettingsError
from llm_router.settings import ServerSettings, Settings
from llm_router.settings_load import (
    Loaded,
    check_bind,
    check_start,
    load,
    readable_by_others,
    require_api_key,
)
from llm_router.settings_sources import KEYS, SHORT_NAMES, env_name

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
CANARY = "sk-or-v1-canary"


def load_from(tmp_path: Path, toml: str = "", env: str = "", **environ: str) -> Loaded:
    (tmp_path / "config.toml").write_text(toml)
    (tmp_path / ".env").write_text(env)
    for file in (tmp_path / "config.toml", tmp_path / ".env"):
        file.chmod(0o600)
    return load(base_dir=tmp_path, environ=environ)


def refusal(tmp_path: Path, toml: str = "", env: str = "", **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_from(tmp_path, toml, env, **environ)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load(base_dir=tmp_path, environ={})
    assert loaded.settings == Settings()
    assert loaded.sources == {}
    assert loaded.warnings == ()


def test_environment_beats_env_file_beats_toml_beats_default(tmp_path: Path) -> None:
    toml = "[breaker]\nfailures = 5\nopen_s = 10\n[server]\nport = 1111"
    loaded = load_from(
        tmp_path, toml, "LLM_ROUTER_BREAKER__OPEN_S=20\nROUTER_PORT=2222\n", ROUTER_PORT="3333"
    )
    assert loaded.settings.breaker.failures == 5
    assert loaded.settings.breaker.open_s == 20
    assert loaded.settings.server.port == 3333
    assert loaded.settings.deadlines.connect_s == 5


def test_every_given_setting_says_where_it_stands(tmp_path: Path) -> None:
    toml = "[breaker]\nfailures = 5\n[log]\nlevel = 'debug'"
    loaded = load_from(tmp_path, toml, "ROUTER_PORT=2222\n", LLM_ROUTER_LOG__LEVEL="error")
    assert {key: where.replace(str(tmp_path), "") for key, where in loaded.sources.items()} == {
        "server.port": "/.env, ROUTER_PORT",
        "breaker.failures": "/config.toml, [breaker] failures",
        "log.level": "environment, LLM_ROUTER_LOG__LEVEL",
    }


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_the_short_names_work_in_the_environment(tmp_path: Path, name: str) -> None:
    value = {"ROUTING_MODE": "api", "ROUTER_PORT": "4000"}.get(name, "https://example.com/v1")
    loaded = load_from(tmp_path, **{name: value})
    assert list(loaded.sources) == [SHORT_NAMES[name]]


def test_every_setting_has_a_name_in_the_environment(tmp_path: Path) -> None:
    defaults = load(config_file=EXAMPLE, base_dir=tmp_path, environ={}).settings
    environ = {}
    for key in KEYS:
        section, _, name = key.partition(".")
        value = getattr(getattr(defaults, section), name)
        if value not in (None, ()):
            environ[env_name(key)] = str(value)
    loaded = load(base_dir=tmp_path, environ=environ)
    assert loaded.settings == defaults
    assert set(loaded.sources) == set(KEYS) - {
        "server.allowed_hosts",
        "server.admin_key",
        "server.client_keys",
        "upstream.api_key",
    }


def test_lists_are_separated_by_commas_in_the_environment(tmp_path: Path) -> None:
    settings = load_from(
        tmp_path, ROUTER_CLIENT_KEYS="laptop:one, two,", LLM_ROUTER_SERVER__ALLOWED_HOSTS="a, b"
    ).settings
    assert settings.server.allowed_hosts == ("a", "b")
    assert "laptop" in settings.server.named_client_keys()
    assert len(settings.server.client_keys) == 2


def test_an_empty_value_counts_as_not_given(tmp_path: Path) -> None:
    loaded = load_from(tmp_path, "[server]\nadmin_key = ''", "ROUTER_PORT=99\n", ROUTER_PORT=" ")
    assert loaded.settings.server.port == 99
    assert loaded.settings.server.admin_key is None
    assert list(loaded.sources) == ["server.port"]


def test_a_dollar_in_the_env_file_stays_one(tmp_path: Path) -> None:
    settings = load_from(tmp_path, env='export OPENROUTER_API_KEY="$HOME-${X}"\n', X="y").settings
    assert require_api_key(settings).get_secret_value() == "$HOME-${X}"


def test_the_same_setting_under_two_names_with_one_value_is_fine(tmp_path: Path) -> None:
    loaded = load_from(tmp_path, ROUTER_PORT="5", LLM_ROUTER_SERVER__PORT="5")
    assert loaded.settings.server.port == 5


def test_two_names_with_two_values_stop_the_start_across_env_file_and_environment(
    tmp_path: Path,
) -> None:
    message = refusal(tmp_path, env="ROUTER_PORT=5\n", LLM_ROUTER_SERVER__PORT="6")
    assert message.startswith(
        ".env, ROUTER_PORT and environment, LLM_ROUTER_SERVER__PORT are the same setting"
    )
    loaded = load_from(tmp_path, env="ROUTER_PORT=5\n", LLM_ROUTER_SERVER__PORT="5")
    assert loaded.settings.server.port == 5


@pytest.mark.parametrize("name", ["ROUTER_PORT", "LLM_ROUTER_SERVER__PORT"])
def test_any_name_in_the_environment_overrides_the_file(tmp_path: Path, name: str) -> None:
    assert load_from(tmp_path, "[server]\nport = 5", **{name: "6"}).settings.server.port == 6


def test_a_bad_value_stops_the_start_also_where_another_overrides_it(tmp_path: Path) -> None:
    """It would stop it on the day when the other one goes."""
    message = refusal(tmp_path, "[server]\nport = 70000", ROUTER_PORT="6")
    assert message.startswith("config.toml, [server] port: must be a whole number")
    message = refusal(tmp_path, "", "ROUTING_MODE=hybird", ROUTING_MODE="hybrid")
    assert message.startswith(".env, ROUTING_MODE: must be keywords, local, ollama, api or hybrid")


def test_the_same_setting_under_two_names_with_two_values_stops_the_start(tmp_path: Path) -> None:
    message = refusal(tmp_path, ROUTER_ADMIN_KEY=CANARY, LLM_ROUTER_SERVER__ADMIN_KEY="other")
    assert "LLM_ROUTER_SERVER__ADMIN_KEY are the same setting" in message
    assert "environment, ROUTER_ADMIN_KEY" in message
    assert CANARY not in message


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param(
            "[server]\nprot = 1",
            "config.toml, [server] prot: unknown key; did you mean port?",
            id="key",
        ),
        pytest.param(
            "[sever]\nport = 1",
            "config.toml, [sever]: unknown section; did you mean server?",
            id="section",
        ),
        pytest.param("server = 1", "config.toml, server: must be a section", id="no section"),
        pytest.param(
            "[server]\nport = 70000",
            "config.toml, [server] port: must be a whole number from 0 to 65535",
            id="too large",
        ),
        pytest.param(
            "[server]\nport = '1'",
            "config.toml, [server] port: must be a whole number",
            id="text for a number",
        ),
        pytest.param(
            "[breaker]\nfailures = true",
            "config.toml, [breaker] failures: must be a whole number from 1 to 1000",
            id="bool for a number",
        ),
        pytest.param(
            "[breaker]\nopen_s = nan",
            "[breaker] open_s: must be a number above 0 and up to 86400",
            id="nan",
        ),
        pytest.param(
            "[ledger]\nsync_s = inf", "[ledger] sync_s: must be a number from 0 to 60", id="inf"
        ),
        pytest.param(
            "[ledger]\nsync_s = 2020-01-01",
            "[ledger] sync_s: must be a number from 0 to 60",
            id="date",
        ),
        pytest.param(
            "[ledger]\npath = ''", "[ledger] path: must be the name of a file", id="no path"
        ),
        pytest.param(
            "[models]\ndirect = 'yes'",
            "[models] direct: must be true or false",
            id="text for a bool",
        ),
        pytest.param(
            "[classifier]\nmode = 'hybird'",
            "mode: must be keywords, local, ollama, api or hybrid; did you mean hybrid?",
            id="choice",
        ),
        pytest.param(
            "[ollama]\nmodel = ''", "[ollama] model: must be text, not empty", id="empty text"
        ),
        pytest.param(
            "[server]\nallowed_hosts = 'a'",
            "[server] allowed_hosts: must be a list of host names, like router.example.org",
            id="text for a list",
        ),
        pytest.param(
            "[server]\nallowed_hosts = ['https://a.org']",
            "[server] allowed_hosts: must be a list of host names, like router.example.org",
            id="an address for a host",
        ),
        pytest.param(
            "[server]\nmax_in_flight = 0",
            "[server] max_in_flight: must be a whole number from 1 to 1000000.",
            id="a large bound",
        ),
        pytest.param(
            "[server]\nclient_keys = ['a', 'a']",
            "[server] client_keys: each client key and each name",
            id="key twice",
        ),
        pytest.param(
            "[server]\nclient_keys = ['x:a', 'x:b']",
            "[server] client_keys: each client key and each name",
            id="name twice",
        ),
        pytest.param(
            "[server]\nclient_keys = ['x:a']\nadmin_key = 'a'",
            "[server] admin_key: the admin key is also a client key",
            id="admin key for clients",
        ),
        pytest.param(
            "[server]\nclient_keys = ['admin:a']",
            "[server] client_keys: no client key may be called admin",
            id="client called admin",
        ),
        pytest.param("[server", "config.toml is not valid TOML", id="no TOML"),
        pytest.param(
            "[categories.poetry]\nmodels = ['glm5']",
            "config.toml, categories.poetry.models[0]: glm5 is neither an alias nor vendor/model",
            id="document",
        ),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_place(
    tmp_path: Path, toml: str, expected: str
) -> None:
    assert expected in refusal(tmp_path, toml)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ROUTER_PORT", "many", "environment, ROUTER_PORT: must be a whole number from 0 to 65535"),
        ("ROUTING_MODE", "keyword", "did you mean keywords?"),
        (
            "LLM_ROUTER_SERVER__PROT",
            "1",
            "there is no such setting; did you mean LLM_ROUTER_SERVER__PORT",
        ),
        ("LLM_ROUTER_PORT", "1", "environment, LLM_ROUTER_PORT: there is no such setting"),
        (
            "OPENROUTER_API_KEY",
            "a b",
            "environment, OPENROUTER_API_KEY: must be a key of visible ASCII",
        ),
        ("ROUTER_CLIENT_KEYS", "a,ü", "environment, ROUTER_CLIENT_KEYS: must be a list of keys"),
        ("ROUTER_HOST", "a b", "environment, ROUTER_HOST: must be a host name or address"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    assert expected in refusal(tmp_path, **{name: value})


@pytest.mark.parametrize("key", KEYS)
def test_a_bad_value_is_never_repeated(tmp_path: Path, key: str) -> None:
    """T10: a key that was put into the wrong setting must not end up in a log."""
    section, _, name = key.partition(".")
    for toml in (
        f"{name} = '{CANARY} x'",
        f"{name} = {{a = '{CANARY}'}}",
        f"{name} = ['{CANARY} x', 5]",
    ):
        message = ""
        try:
            load_from(tmp_path, f"[{section}]\n{toml}")
        except SettingsError as exc:
            message = str(exc)
        assert CANARY not in message


@pytest.mark.parametrize(
    ("line", "number"), [("ROUTER_PORT", 2), ("what is this", 2), ("A='unclosed", 2)]
)
def test_a_line_of_the_env_file_that_means_nothing_is_refused(
    tmp_path: Path, line: str, number: int
) -> None:
    assert f".env, line {number}: cannot be read" in refusal(tmp_path, env=f"# comment\n{line}\n")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("ROUTER_ADMNI_KEY", "ROUTER_ADMIN_KEY"),
        ("OPENROUTER_API_KEYS", "OPENROUTER_API_KEY"),
        ("OPENROUTER_KEY", "OPENROUTER_API_KEY"),
        ("ROUTING_MOD", "ROUTING_MODE"),
    ],
)
def test_a_mistyped_short_name_is_warned_about_since_it_could_be_somebody_elses(
    tmp_path: Path, wrong: str, right: str
) -> None:
    loaded = load_from(tmp_path, **{wrong: "x", "ROUTER_ZZZ": "y"})
    assert len(loaded.warnings) == 1
    assert f"{wrong}: not a name of ours; did you mean {right}" in loaded.warnings[0]


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for read in (partial(load, config_file=missing), partial(load, env_file=missing)):
        with pytest.raises(SettingsError, match="missing cannot be read: No such file"):
            read(base_dir=tmp_path, environ={})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe[")
    with pytest.raises(SettingsError, match=r"config\.toml is not UTF-8 text"):
        load(base_dir=tmp_path, environ={})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbf[server]\nport = 7")
    assert load(base_dir=tmp_path, environ={}).settings.server.port == 7


def test_aliases_and_categories_of_the_file_are_laid_over_the_defaults(tmp_path: Path) -> None:
    seed = load_from(
        tmp_path,
        "[aliases]\nfast = 'a/b'\n[categories.code]\nmodels = ['fast']\n"
        "[categories.poetry]\nmodels = ['glm-5']\nkeywords = ['rhyme']",
    ).seed
    assert seed.categories["code"].models == ("fast",)
    assert seed.categories["code"].description
    assert seed.categories["poetry"].keywords == ("rhyme",)
    assert seed.categories["tools"].models == ("aurora-alpha", "kimi-k2.5", "glm-5")
    assert seed.aliases["fast"] == "a/b"
    assert seed.aliases["glm-5"] == "z-ai/glm-5"


@pytest.mark.parametrize(
    ("name", "value", "is_short"),
    [
        ("ROUTER_ADMIN_KEY", CANARY, True),
        ("ROUTER_ADMIN_KEY", CANARY * 2, False),
        ("ROUTER_CLIENT_KEYS", f"laptop:{CANARY},phone:{CANARY * 2}", True),
        ("ROUTER_CLIENT_KEYS", f"a-name-that-is-long:{CANARY * 2}", False),
    ],
)
def test_a_key_that_can_be_guessed_is_warned_about(
    tmp_path: Path, name: str, value: str, is_short: bool
) -> None:
    """T13: and is not repeated."""
    warnings = load_from(tmp_path, **{name: value}).warnings
    assert len(warnings) == is_short
    for warning in warnings:
        assert warning.startswith(f"environment, {name}: a key of fewer than 20 characters")
        assert CANARY not in warning


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
def test_secrets_that_others_can_read_are_warned_about(tmp_path: Path) -> None:
    """T38: keys on disk are the owner's alone."""
    env, toml = tmp_path / ".env", tmp_path / "config.toml"
    env.write_text("OPENROUTER_API_KEY=x\n")
    toml.write_text("[server]\nport = 1\nclient_keys = []")
    env.chmod(0o640)
    toml.chmod(0o644)  # without a secret in it, anybody may
    warnings = load(base_dir=tmp_path, environ={}).warnings
    assert warnings == (f"{env} can be read by other users of this machine; run: chmod 600 {env}",)
    env.chmod(0o600)
    assert load(base_dir=tmp_path, environ={}).warnings == ()


def test_where_modes_say_nothing_there_is_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch(0o666)
    monkeypatch.setattr(sys, "platform", "win32")
    assert readable_by_others([tmp_path / "a"]) == ()


def server(**values: object) -> Settings:
    return Settings(server=ServerSettings.model_validate(values))


def test_an_ipv6_address_may_stand_in_brackets(tmp_path: Path) -> None:
    loaded = load_from(tmp_path, "[server]\nhost = '[::1]'")
    assert loaded.settings.server.host == "::1"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"]
)
def test_a_loopback_address_needs_no_keys(host: str) -> None:
    """T02"""
    check_bind(server(host=host), {})


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.evil.com"]
)
@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, "ROUTER_ADMIN_KEY and ROUTER_CLIENT_KEYS"),
        ({"admin_key": SecretStr("a")}, "set ROUTER_CLIENT_KEYS"),
        ({"client_keys": ("b",)}, "set ROUTER_ADMIN_KEY"),
    ],
    ids=["no keys", "no client keys", "no admin key"],
)
def test_other_addresses_need_both_kinds_of_keys(
    host: str, keys: dict[str, object], missing: str
) -> None:
    """T02: no keyless mode that other machines can reach."""
    with pytest.raises(SettingsError, match=f"^environment, ROUTER_HOST: .*{missing}"):
        check_bind(server(host=host, **keys), {"server.host": "environment, ROUTER_HOST"})


def test_with_both_kinds_of_keys_any_address_will_do() -> None:
    check_bind(server(host="0.0.0.0", admin_key=SecretStr("a"), client_keys=("b",)), {})


def test_the_defaults_can_be_served() -> None:
    check_start(Settings(), {})


def test_a_missing_api_key_names_the_variable_the_file_and_the_demo() -> None:
    with pytest.raises(SettingsError, match=r"(?s)OPENROUTER_API_KEY.*\.env.*make demo"):
        require_api_key(Settings())
