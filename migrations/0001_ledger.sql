-- The ledger: what was asked, what was sent upstream, and what it cost.
-- Times are UTC text (2026-01-31T12:00:00.123Z), durations integer milliseconds, money integer
-- nano-USD (1 USD = 1,000,000,000). `outcome` is NULL while in flight; an unknown cost is NULL, never 0.
-- The longer CHECKs are spelt out: SQLite builds the list of an IN anew for every row it checks, which
-- would be half of what a row costs.

CREATE TABLE requests (
    id                     TEXT PRIMARY KEY,
    started_at             TEXT NOT NULL,
    finished_at            TEXT,
    category               TEXT,
    classifier             TEXT,
    confidence             REAL,
    classifier_ms          INTEGER,
    requested_model        TEXT,
    served_model           TEXT,
    is_stream              INTEGER NOT NULL DEFAULT 0 CHECK (is_stream IN (0, 1)),
    client_key             TEXT,
    session                TEXT,
    attempts               INTEGER NOT NULL DEFAULT 0,
    outcome                TEXT CHECK (outcome = 'completed' OR outcome = 'failed' OR outcome = 'truncated'
                                       OR outcome = 'abandoned' OR outcome = 'lost'),
    http_status            INTEGER,
    error_class            TEXT,
    prompt_tokens          INTEGER CHECK (prompt_tokens >= 0),
    completion_tokens      INTEGER CHECK (completion_tokens >= 0),
    cached_tokens          INTEGER CHECK (cached_tokens >= 0),
    reasoning_tokens       INTEGER CHECK (reasoning_tokens >= 0),
    cost_nanousd           INTEGER CHECK (cost_nanousd >= 0),
    cost_source            TEXT CHECK (cost_source = 'provider' OR cost_source = 'reconciled' OR cost_source = 'computed'
                                       OR cost_source = 'estimated' OR cost_source = 'unknown'),
    time_to_first_chunk_ms INTEGER,
    total_ms               INTEGER,
    overhead_ms            INTEGER,
    process                TEXT NOT NULL
) STRICT;

CREATE INDEX requests_by_start ON requests (started_at);
CREATE INDEX requests_in_flight ON requests (process) WHERE outcome IS NULL;

CREATE TABLE attempts (
    id                     TEXT PRIMARY KEY,
    request_id             TEXT NOT NULL,
    seq                    INTEGER NOT NULL,
    kind                   TEXT NOT NULL CHECK (kind IN ('chat', 'classifier')),
    model                  TEXT NOT NULL,
    served_model           TEXT,
    provider               TEXT,
    generation_id          TEXT,
    started_at             TEXT NOT NULL,
    finished_at            TEXT,
    time_to_first_chunk_ms INTEGER,
    total_ms               INTEGER,
    outcome                TEXT CHECK (outcome = 'completed' OR outcome = 'failed' OR outcome = 'truncated'
                                       OR outcome = 'abandoned' OR outcome = 'lost'),
    http_status            INTEGER,
    error_class            TEXT,
    note                   TEXT,
    prompt_tokens          INTEGER CHECK (prompt_tokens >= 0),
    completion_tokens      INTEGER CHECK (completion_tokens >= 0),
    cached_tokens          INTEGER CHECK (cached_tokens >= 0),
    reasoning_tokens       INTEGER CHECK (reasoning_tokens >= 0),
    cost_nanousd           INTEGER CHECK (cost_nanousd >= 0),
    cost_source            TEXT CHECK (cost_source = 'provider' OR cost_source = 'reconciled' OR cost_source = 'computed'
                                       OR cost_source = 'estimated' OR cost_source = 'unknown'),
    process                TEXT NOT NULL
) STRICT;

CREATE INDEX attempts_by_request ON attempts (request_id);
CREATE INDEX attempts_by_start ON attempts (started_at);
CREATE INDEX attempts_in_flight ON attempts (process) WHERE outcome IS NULL;

-- Costs still to be asked for at the provider; a row leaves when the answer came or hope ended.
CREATE TABLE reconciliations (
    attempt_id    TEXT PRIMARY KEY,
    generation_id TEXT NOT NULL,
    tries         INTEGER NOT NULL DEFAULT 0,
    next_try_at   TEXT NOT NULL
) STRICT;

-- How far each journal segment has been moved into the tables above, in the same transactions.
CREATE TABLE journal_offsets (
    segment TEXT PRIMARY KEY,
    offset  INTEGER NOT NULL
) STRICT;

CREATE VIEW cost_by_day AS
SELECT substr(started_at, 1, 10)                                   AS day,
       count(*)                                                    AS requests,
       sum(outcome = 'completed')                                  AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(coalesce(sum(cost_nanousd), 0) / 1e9, 9)              AS cost_usd,
       sum(cost_nanousd IS NULL AND outcome IS NOT NULL)           AS cost_unknown
FROM requests GROUP BY 1 ORDER BY 1;

CREATE VIEW cost_by_category AS
SELECT coalesce(category, '-')                                     AS category,
       count(*)                                                    AS requests,
       sum(outcome = 'completed')                                  AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(coalesce(sum(cost_nanousd), 0) / 1e9, 9)              AS cost_usd,
       sum(cost_nanousd IS NULL AND outcome IS NOT NULL)           AS cost_unknown
FROM requests GROUP BY 1 ORDER BY cost_usd DESC, 1;

CREATE VIEW cost_by_key AS
SELECT coalesce(client_key, '-')                                   AS client_key,
       count(*)                                                    AS requests,
       sum(outcome = 'completed')                                  AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(coalesce(sum(cost_nanousd), 0) / 1e9, 9)              AS cost_usd,
       sum(cost_nanousd IS NULL AND outcome IS NOT NULL)           AS cost_unknown
FROM requests GROUP BY 1 ORDER BY cost_usd DESC, 1;

-- Per model the attempts count, not the requests: a failed try costs its own model.
CREATE VIEW cost_by_model AS
SELECT model,
       kind,
       count(*)                                                    AS attempts,
       sum(outcome = 'completed')                                  AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(coalesce(sum(cost_nanousd), 0) / 1e9, 9)              AS cost_usd,
       sum(cost_nanousd IS NULL AND outcome IS NOT NULL)           AS cost_unknown
FROM attempts GROUP BY 1, 2 ORDER BY cost_usd DESC, 1, 2;

CREATE VIEW cost_by_provider AS
SELECT coalesce(provider, '-')                                     AS provider,
       count(*)                                                    AS attempts,
       sum(outcome = 'completed')                                  AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(coalesce(sum(cost_nanousd), 0) / 1e9, 9)              AS cost_usd,
       sum(cost_nanousd IS NULL AND outcome IS NOT NULL)           AS cost_unknown
FROM attempts GROUP BY 1 ORDER BY cost_usd DESC, 1;
