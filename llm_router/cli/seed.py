"""Whether config.toml names aliases or categories that nobody listens to.

They fill an empty database and nothing else, so an edit that comes later would be lost in silence.
"""

import asyncio

from llm_router.errors import StorageError
from llm_router.routing.document import changes, to_dict
from llm_router.settings_load import Loaded
from llm_router.storage.config import current, was_in_force
from llm_router.storage.sqlite import open_reader

_NAMED = 3


def ignored(loaded: Loaded) -> tuple[str, ...]:
    """Return a warning if the file differs from what is in force and from all that ever was.

    What was in force once has been changed since on purpose. A database that cannot be read now
    is for others to complain about.
    """
    file, path = loaded.seed_file, loaded.settings.ledger.path
    if file is None or not path.exists():
        return ()
    try:
        places = asyncio.run(_ignored(loaded))
    except StorageError:
        return ()
    if not places:
        return ()
    named = ", ".join(places[:_NAMED])
    rest = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return (
        f"{file}: {named}{rest} differ from the database, which is what counts after the first "
        "start; `llm-router config apply` takes the file's aliases and categories over",
    )


async def _ignored(loaded: Loaded) -> list[str]:
    async with open_reader(loaded.settings.ledger.path) as reader:
        in_force = await current(reader)
        if in_force is None or await was_in_force(reader, loaded.seed):
            return []
    return [change.path for change in changes(to_dict(in_force), to_dict(loaded.seed))]
