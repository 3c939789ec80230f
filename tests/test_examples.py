"""The example files name what there is, with the values that hold without them."""

import re
import tomllib
from pathlib import Path

import pytest

from llm_router.routing.defaults import default_config
from llm_router.routing.document import parse
from llm_router.settings import Settings
from llm_router.settings_load import load
from llm_router.settings_sources import KEYS, NAMES, SHORT_NAMES

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "config.example.toml").read_text(encoding="utf-8")


def test_the_example_is_the_defaults(tmp_path: Path) -> None:
    loaded = load(config_file=ROOT / "config.example.toml", base_dir=tmp_path, environ={})
    assert loaded.settings == Settings()
    assert loaded.seed == default_config()
    assert loaded.warnings == ()


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_is_in_the_example_with_a_line_why(key: str) -> None:
    section, _, name = key.partition(".")
    body = TEXT.split(f"\n[{section}]", 1)[1].split("\n[", 1)[0]
    assert re.search(rf"^{name} = .*#.*\w", body, re.MULTILINE)


def test_aliases_and_categories_are_written_out_whole() -> None:
    tree = tomllib.loads(TEXT)
    assert parse({key: tree[key] for key in ("aliases", "categories")}) == default_config()


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_the_short_names_are_told(name: str) -> None:
    assert f"[{name}]" in TEXT


def test_the_env_example_can_be_copied_as_it_is(tmp_path: Path) -> None:
    example = ROOT / ".env.example"
    names = re.findall(r"^(\w+)=", example.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(names) <= set(NAMES)
    assert load(env_file=example, base_dir=tmp_path, environ={}).settings == Settings()
