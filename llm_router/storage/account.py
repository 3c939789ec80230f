"""Whether the provider's key is still the one that the stored account gate speaks of."""

import hashlib
import os

from llm_router.platform import open_private
from llm_router.settings import Settings
from llm_router.storage.trouble import explain_os

_FILE = "account"  # in the journal folder


def is_another_key(settings: Settings) -> bool:
    """Compare with the key of the last start, and remember this one by a fingerprint."""
    key = settings.upstream.api_key
    secret = key.get_secret_value() if key is not None else ""
    mark = hashlib.sha256(f"llm-router {secret}".encode()).hexdigest()[:16].encode()
    path = settings.ledger.journals / _FILE
    try:
        former = path.read_bytes()
    except OSError:
        former = None
    if former == mark:
        return False
    try:
        fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(fd, mark)
        finally:
            os.close(fd)
    except OSError as exc:
        raise explain_os(path, exc) from exc
    return former is not None
