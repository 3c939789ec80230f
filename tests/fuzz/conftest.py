"""The running router of the integration tests, with their oracles."""

from tests.integration.conftest import router, start, upstream

__all__ = ["router", "start", "upstream"]
