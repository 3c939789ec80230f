"""What is left out while a start imports."""

import gc
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from llm_router.imports import lean

# As a process of its own: here everything is imported already.
_STARTED = """\
import importlib.metadata
import sys

searched = []
importlib.metadata.distributions = lambda: searched.append("for plugins") or ()
from llm_router.imports import lean

with lean():
    from llm_router import serving
from aiohttp import connector

print(searched, connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"])
print("llm_router.classify.vocabulary" in sys.modules)
"""


def test_a_start_leaves_certificates_plugins_and_vocabulary_alone() -> None:
    done = subprocess.run(
        (sys.executable, "-c", _STARTED), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[] 0", "False"]


def test_the_environment_is_as_it_was_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/own.pem")
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    before = dict(os.environ)
    with suppress(ImportError), lean():
        assert os.environ["SSL_CERT_FILE"] == os.devnull
        assert not gc.isenabled()
        raise ImportError
    assert dict(os.environ) == before
    assert gc.isenabled()
