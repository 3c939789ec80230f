"""The whole application, for what an edge module does only in its company."""

from tests.integration.conftest import router, shared, start, upstream

__all__ = ["router", "shared", "start", "upstream"]
