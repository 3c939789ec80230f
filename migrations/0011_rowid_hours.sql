-- The rollups as ordinary tables. In a table WITHOUT ROWID, the integrity check of SQLite 3.40 takes
-- columns that stand before one of the primary key for NULL. Nothing was wrong but what it said.

CREATE TABLE kept_hours AS SELECT * FROM request_hours;
DROP TABLE request_hours;
CREATE TABLE request_hours (
    hour                       TEXT NOT NULL,
    category                   TEXT NOT NULL,
    classifier                 TEXT NOT NULL,
    outcome                    TEXT NOT NULL,
    client_key                 TEXT NOT NULL,
    requests                   INTEGER NOT NULL,
    attempts                   INTEGER NOT NULL,
    fallbacks                  INTEGER NOT NULL,
    prompt_tokens              INTEGER NOT NULL,
    completion_tokens          INTEGER NOT NULL,
    cached_tokens              INTEGER NOT NULL,
    reasoning_tokens           INTEGER NOT NULL,
    cost_nanousd               INTEGER NOT NULL,
    cost_unknown               INTEGER NOT NULL,
    time_to_first_chunk_count  INTEGER NOT NULL,
    time_to_first_chunk_sum_ms INTEGER NOT NULL,
    total_count                INTEGER NOT NULL,
    total_sum_ms               INTEGER NOT NULL,
    overhead_count             INTEGER NOT NULL,
    overhead_sum_ms            INTEGER NOT NULL,
    is_pruned                  INTEGER NOT NULL CHECK (is_pruned IN (0, 1)),
    PRIMARY KEY (hour, is_pruned, category, classifier, outcome, client_key)
) STRICT;
INSERT INTO request_hours SELECT * FROM kept_hours;
DROP TABLE kept_hours;

CREATE TABLE kept_hours AS SELECT * FROM attempt_hours;
DROP TABLE attempt_hours;
CREATE TABLE attempt_hours (
    hour                       TEXT NOT NULL,
    category                   TEXT NOT NULL,
    classifier                 TEXT NOT NULL,
    client_key                 TEXT NOT NULL,
    kind                       TEXT NOT NULL,
    model                      TEXT NOT NULL,
    provider                   TEXT NOT NULL,
    outcome                    TEXT NOT NULL,
    requests                   INTEGER NOT NULL,
    attempts                   INTEGER NOT NULL,
    fallbacks                  INTEGER NOT NULL,
    prompt_tokens              INTEGER NOT NULL,
    completion_tokens          INTEGER NOT NULL,
    cached_tokens              INTEGER NOT NULL,
    reasoning_tokens           INTEGER NOT NULL,
    cost_nanousd               INTEGER NOT NULL,
    cost_unknown               INTEGER NOT NULL,
    time_to_first_chunk_count  INTEGER NOT NULL,
    time_to_first_chunk_sum_ms INTEGER NOT NULL,
    total_count                INTEGER NOT NULL,
    total_sum_ms               INTEGER NOT NULL,
    is_pruned                  INTEGER NOT NULL CHECK (is_pruned IN (0, 1)),
    PRIMARY KEY (hour, is_pruned, category, classifier, client_key, kind, model, provider, outcome)
) STRICT;
INSERT INTO attempt_hours SELECT * FROM kept_hours;
DROP TABLE kept_hours;

CREATE INDEX request_hours_cost_unknown ON request_hours (cost_unknown)
    WHERE is_pruned AND cost_unknown > 0;
