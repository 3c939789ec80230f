"""Which tests there are to choose from: faults by their ids, slow ones on request, deep searches.

make test                           everything that is quick
make faults                         every test that names a fault or a threat, slow ones too
pytest -m fault -k upstream         some of them
pytest --hypothesis-profile deep    many more examples for every property
"""

import inspect

import pytest
from hypothesis import settings

from tests.faults import ids_in

# Nothing here is timed by Hypothesis: the machine may be busy.
settings.register_profile("quick", deadline=None)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests whose docstrings name an id."""
    for item in items:
        if isinstance(item, pytest.Function) and ids_in(inspect.getdoc(item.function) or ""):
            item.add_marker("fault")
