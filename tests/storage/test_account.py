from pathlib import Path

from pydantic import SecretStr

from llm_router.settings import LedgerSettings, Settings, UpstreamSettings
from llm_router.storage.account import is_another_key

KEY = "sk-or-canary-of-the-operator"


def with_key(folder: Path, key: str | None) -> Settings:
    secret = None if key is None else SecretStr(key)
    return Settings(
        ledger=LedgerSettings(path=folder / "router.db"), upstream=UpstreamSettings(api_key=secret)
    )


def test_a_key_is_another_only_than_the_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "router.db-journals").mkdir()
    keys = [KEY, KEY, "sk-or-new", None, None, KEY]
    others = [is_another_key(with_key(tmp_path, key)) for key in keys]
    assert others == [False, False, True, True, False, True]


def test_what_is_kept_of_a_key_does_not_tell_it(tmp_path: Path) -> None:
    (tmp_path / "router.db-journals").mkdir()
    is_another_key(with_key(tmp_path, KEY))
    [kept] = (tmp_path / "router.db-journals").iterdir()
    assert len(kept.read_text()) == 16
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_damaged_mark_is_another_keys(tmp_path: Path) -> None:
    """F89: it used to stop the start with a traceback."""
    (tmp_path / "router.db-journals").mkdir()
    (tmp_path / "router.db-journals" / "account").write_bytes(b"\x8f\xff")
    settings = with_key(tmp_path, KEY)
    assert [is_another_key(settings), is_another_key(settings)] == [True, False]
