"""The router of the integration tests, with their oracles, and the classifier that ships."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import Router, Start, start, upstream

__all__ = ["start", "upstream"]


@pytest.fixture
async def router(start: Start) -> AsyncIterator[Router]:
    async with start(classifier={"mode": "local"}) as router:
        yield router
