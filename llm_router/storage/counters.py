"""The running totals that Prometheus scrapes, kept with every write, so reading costs little.

Labels are made here, from closed sets that come in as parameters: what is in none of them is
`other`, what was never said is `none`. So neither clients nor providers can add a time series.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from llm_router.storage.readable import Readable

_REQUESTS = """
SELECT CASE WHEN category = '' THEN 'none'
            WHEN category IN (SELECT value FROM json_each(:categories)) THEN category
            ELSE 'other' END   AS category,
       outcome,
       CASE WHEN classifier = '' THEN 'none'
            WHEN classifier IN (SELECT value FROM json_each(:classifiers)) THEN classifier
            ELSE 'other' END   AS classifier,
       sum(requests)           AS requests
FROM request_counters GROUP BY 1, 2, 3
"""

_ATTEMPTS = """
SELECT CASE WHEN model IN (SELECT value FROM json_each(:models)) THEN model
            ELSE 'other' END   AS model,
       kind,
       outcome,
       CASE WHEN error_class = '' THEN 'none'
            WHEN error_class IN (SELECT value FROM json_each(:error_classes)) THEN error_class
            ELSE 'other' END   AS error_class,
       sum(attempts)           AS attempts,
       sum(prompt_tokens)      AS prompt,
       sum(completion_tokens)  AS completion,
       sum(cached_tokens)      AS cached,
       sum(reasoning_tokens)   AS reasoning,
       sum(cost_nanousd)       AS cost_nanousd
FROM attempt_counters GROUP BY 1, 2, 3, 4
"""

# Each bucket holds all that is not slower, as Prometheus wants it.
_LATENCIES = """
SELECT l.measure,
       CASE WHEN l.category = '' THEN 'none'
            WHEN l.category IN (SELECT value FROM json_each(:categories)) THEN l.category
            ELSE 'other' END   AS category,
       b.le_ms,
       sum(iif(l.le_ms <= b.le_ms, l.observations, 0)) AS observations,
       sum(l.sum_ms)           AS sum_ms
FROM latency_counters l CROSS JOIN latency_buckets b
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

_COST_UNKNOWN = """
SELECT (SELECT count(*) FROM requests WHERE cost_nanousd IS NULL AND outcome IS NOT NULL)
       + (SELECT coalesce(sum(cost_unknown), 0) FROM request_hours
          WHERE is_pruned AND cost_unknown > 0) AS requests
"""

# A model that cools down may be one of many; a gate that does shuts out all of them.
_BREAKERS = """
SELECT subject,
       CASE WHEN subject LIKE 'gate:%' AND cooldown_until > :now THEN 'open'
            ELSE state END     AS state
FROM breakers
WHERE subject LIKE 'gate:%' OR subject IN (SELECT value FROM json_each(:models))
"""

_TRANSITIONS = """
SELECT CASE WHEN subject LIKE 'gate:%'
              OR subject IN (SELECT value FROM json_each(:models)) THEN subject
            ELSE 'other' END   AS subject,
       from_state,
       to_state,
       count(*)                AS transitions
FROM breaker_transitions GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Labels:
    """Every label value that may come from rows."""

    categories: Iterable[str]
    models: Iterable[str]
    classifiers: Iterable[str]
    error_classes: Iterable[str]


@dataclass(frozen=True, slots=True)
class Counters:
    """What the ledger and the breakers' table say at one moment."""

    requests: list[sqlite3.Row]
    attempts: list[sqlite3.Row]
    latencies: list[sqlite3.Row]
    cost_unknown: int
    breakers: dict[str, str]
    transitions: list[sqlite3.Row]


async def read_counters(database: Readable, labels: Labels, now: str) -> Counters:
    """Read them all; `now` is UTC text, for cool-downs that may be over."""
    params = {
        "categories": json.dumps(list(labels.categories)),
        "models": json.dumps(list(labels.models)),
        "classifiers": json.dumps(list(labels.classifiers)),
        "error_classes": json.dumps(list(labels.error_classes)),
        "now": now,
    }
    [unknown] = await database.read(_COST_UNKNOWN)
    return Counters(
        await database.read(_REQUESTS, params),
        await database.read(_ATTEMPTS, params),
        await database.read(_LATENCIES, params),
        unknown["requests"],
        {row["subject"]: row["state"] for row in await database.read(_BREAKERS, params)},
        await database.read(_TRANSITIONS, params),
    )
