-- Reports that stay quick over years, and right after raw rows have been pruned.
-- `request_hours` and `attempt_hours` hold the ledger summed by the hour, in two kinds of rows:
--   is_pruned = 0  repeats what the raw rows say; made anew whenever an hour is in `stale_hours`
--   is_pruned = 1  all that is left of raw rows that were deleted; only ever added to
-- A reader takes stale hours from the raw rows, the others from here, and so is right at any moment.

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
) STRICT, WITHOUT ROWID;

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
) STRICT, WITHOUT ROWID;

CREATE TABLE stale_hours (
    hour TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Raw rows in the shape of the rollups, column by column, so that both can be summed alike.
-- No outcome ('') means in flight.
CREATE VIEW request_facts AS
SELECT substr(started_at, 1, 13)                           AS hour,
       coalesce(category, '')                              AS category,
       coalesce(classifier, '')                            AS classifier,
       coalesce(outcome, '')                               AS outcome,
       coalesce(client_key, '')                            AS client_key,
       1                                                   AS requests,
       attempts,
       max(attempts - 1, 0)                                AS fallbacks,
       coalesce(prompt_tokens, 0)                          AS prompt_tokens,
       coalesce(completion_tokens, 0)                      AS completion_tokens,
       coalesce(cached_tokens, 0)                          AS cached_tokens,
       coalesce(reasoning_tokens, 0)                       AS reasoning_tokens,
       coalesce(cost_nanousd, 0)                           AS cost_nanousd,
       cost_nanousd IS NULL AND outcome IS NOT NULL        AS cost_unknown,
       time_to_first_chunk_ms IS NOT NULL                  AS time_to_first_chunk_count,
       coalesce(time_to_first_chunk_ms, 0)                 AS time_to_first_chunk_sum_ms,
       total_ms IS NOT NULL                                AS total_count,
       coalesce(total_ms, 0)                               AS total_sum_ms,
       overhead_ms IS NOT NULL                             AS overhead_count,
       coalesce(overhead_ms, 0)                            AS overhead_sum_ms,
       started_at,
       id
FROM requests;

-- A request counts for its last chat call, a fallback is a chat call that was not the first.
-- A classifier call of /route/explain has no request.
CREATE VIEW attempt_facts AS
SELECT substr(a.started_at, 1, 13)                         AS hour,
       coalesce(r.category, '')                            AS category,
       coalesce(r.classifier, '')                          AS classifier,
       coalesce(r.client_key, '')                          AS client_key,
       a.kind,
       a.model,
       coalesce(a.provider, '')                            AS provider,
       coalesce(a.outcome, '')                             AS outcome,
       a.kind = 'chat' AND NOT EXISTS (
           SELECT 1 FROM attempts o
           WHERE o.request_id = a.request_id AND o.kind = 'chat' AND o.seq > a.seq
       )                                                   AS requests,
       1                                                   AS attempts,
       a.kind = 'chat' AND EXISTS (
           SELECT 1 FROM attempts o
           WHERE o.request_id = a.request_id AND o.kind = 'chat' AND o.seq < a.seq
       )                                                   AS fallbacks,
       coalesce(a.prompt_tokens, 0)                        AS prompt_tokens,
       coalesce(a.completion_tokens, 0)                    AS completion_tokens,
       coalesce(a.cached_tokens, 0)                        AS cached_tokens,
       coalesce(a.reasoning_tokens, 0)                     AS reasoning_tokens,
       coalesce(a.cost_nanousd, 0)                         AS cost_nanousd,
       a.cost_nanousd IS NULL AND a.outcome IS NOT NULL    AS cost_unknown,
       a.time_to_first_chunk_ms IS NOT NULL                AS time_to_first_chunk_count,
       coalesce(a.time_to_first_chunk_ms, 0)               AS time_to_first_chunk_sum_ms,
       a.total_ms IS NOT NULL                              AS total_count,
       coalesce(a.total_ms, 0)                             AS total_sum_ms,
       a.started_at,
       a.id
FROM attempts a LEFT JOIN requests r ON r.id = a.request_id;

-- The totals for Prometheus, added to once when a row is final, so they never fall: a later
-- correction of an outcome moves nothing, and a cost or token count can only still grow.
CREATE TABLE request_counters (
    category   TEXT NOT NULL,
    classifier TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    requests   INTEGER NOT NULL,
    PRIMARY KEY (category, classifier, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_counters (
    model             TEXT NOT NULL,
    kind              TEXT NOT NULL,
    outcome           TEXT NOT NULL,
    error_class       TEXT NOT NULL,
    attempts          INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    cost_nanousd      INTEGER NOT NULL,
    PRIMARY KEY (model, kind, outcome, error_class)
) STRICT, WITHOUT ROWID;

CREATE TABLE latency_counters (
    measure      TEXT NOT NULL,
    category     TEXT NOT NULL,
    le_ms        INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    sum_ms       INTEGER NOT NULL,
    PRIMARY KEY (measure, category, le_ms)
) STRICT, WITHOUT ROWID;

-- Upper bounds of the histograms' buckets; the last one stands for +Inf.
CREATE TABLE latency_buckets (
    le_ms INTEGER PRIMARY KEY
) STRICT;

INSERT INTO latency_buckets VALUES
    (1), (2), (5), (10), (25), (50), (100), (250), (500), (1000), (2500), (5000), (10000),
    (30000), (60000), (120000), (300000), (600000), (1800000), (9223372036854775807);

-- One row in here, for the length of a transaction, says: whoever inserts now adds the new rows to
-- the totals, and their hours to `stale_hours`, all at once (llm_router/storage/tally.py), because row
-- by row that would cost as much as the rows. Every other change is counted by the triggers below.
CREATE TABLE tallying (
    is_on INTEGER NOT NULL
) STRICT;

-- Rows come in finished or are finished later; both ways lead through one of these two views.
CREATE VIEW request_increments AS
SELECT category, classifier, outcome, time_to_first_chunk_ms, total_ms, overhead_ms FROM requests;

CREATE VIEW attempt_increments AS
SELECT model, kind, outcome, error_class, 1 AS attempts, prompt_tokens, completion_tokens,
       cached_tokens, reasoning_tokens, cost_nanousd FROM attempts;

CREATE TRIGGER requests_insert AFTER INSERT ON requests WHEN NOT EXISTS (SELECT 1 FROM tallying)
BEGIN
    INSERT INTO stale_hours VALUES (substr(NEW.started_at, 1, 13)) ON CONFLICT DO NOTHING;

    INSERT INTO request_increments
    SELECT NEW.category, NEW.classifier, NEW.outcome,
           NEW.time_to_first_chunk_ms, NEW.total_ms, NEW.overhead_ms
    WHERE NEW.outcome IS NOT NULL;
END;

CREATE TRIGGER requests_update AFTER UPDATE ON requests
BEGIN
    INSERT INTO stale_hours VALUES (substr(NEW.started_at, 1, 13)) ON CONFLICT DO NOTHING;

    INSERT INTO request_increments
    SELECT NEW.category, NEW.classifier, NEW.outcome,
           NEW.time_to_first_chunk_ms, NEW.total_ms, NEW.overhead_ms
    WHERE NEW.outcome IS NOT NULL AND OLD.outcome IS NULL;
END;

CREATE TRIGGER requests_delete AFTER DELETE ON requests
BEGIN
    INSERT INTO stale_hours VALUES (substr(OLD.started_at, 1, 13)) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER request_increments_insert INSTEAD OF INSERT ON request_increments
BEGIN
    INSERT INTO request_counters
    VALUES (coalesce(NEW.category, ''), coalesce(NEW.classifier, ''), NEW.outcome, 1)
    ON CONFLICT DO UPDATE SET requests = requests + 1;

    INSERT INTO latency_counters
    SELECT m.measure,
           coalesce(NEW.category, ''),
           (SELECT min(le_ms) FROM latency_buckets WHERE le_ms >= m.ms),
           1,
           m.ms
    FROM (SELECT 'time_to_first_chunk' AS measure, NEW.time_to_first_chunk_ms AS ms
          UNION ALL SELECT 'total', NEW.total_ms
          UNION ALL SELECT 'overhead', NEW.overhead_ms) m
    WHERE m.ms IS NOT NULL
    ON CONFLICT DO UPDATE SET observations = observations + 1, sum_ms = sum_ms + excluded.sum_ms;
END;

CREATE TRIGGER attempts_insert AFTER INSERT ON attempts WHEN NOT EXISTS (SELECT 1 FROM tallying)
BEGIN
    INSERT INTO stale_hours VALUES (substr(NEW.started_at, 1, 13)) ON CONFLICT DO NOTHING;

    INSERT INTO attempt_increments
    SELECT NEW.model, NEW.kind, NEW.outcome, NEW.error_class, 1,
           coalesce(NEW.prompt_tokens, 0), coalesce(NEW.completion_tokens, 0),
           coalesce(NEW.cached_tokens, 0), coalesce(NEW.reasoning_tokens, 0),
           coalesce(NEW.cost_nanousd, 0)
    WHERE NEW.outcome IS NOT NULL;
END;

CREATE TRIGGER attempts_update AFTER UPDATE ON attempts
BEGIN
    INSERT INTO stale_hours VALUES (substr(NEW.started_at, 1, 13)) ON CONFLICT DO NOTHING;

    INSERT INTO attempt_increments
    SELECT NEW.model, NEW.kind, NEW.outcome, NEW.error_class, OLD.outcome IS NULL,
           max(coalesce(NEW.prompt_tokens, 0) - coalesce(OLD.prompt_tokens, 0), 0),
           max(coalesce(NEW.completion_tokens, 0) - coalesce(OLD.completion_tokens, 0), 0),
           max(coalesce(NEW.cached_tokens, 0) - coalesce(OLD.cached_tokens, 0), 0),
           max(coalesce(NEW.reasoning_tokens, 0) - coalesce(OLD.reasoning_tokens, 0), 0),
           max(coalesce(NEW.cost_nanousd, 0) - coalesce(OLD.cost_nanousd, 0), 0)
    WHERE NEW.outcome IS NOT NULL;
END;

CREATE TRIGGER attempts_delete AFTER DELETE ON attempts
BEGIN
    INSERT INTO stale_hours VALUES (substr(OLD.started_at, 1, 13)) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER attempt_increments_insert INSTEAD OF INSERT ON attempt_increments
BEGIN
    INSERT INTO attempt_counters
    VALUES (NEW.model, NEW.kind, NEW.outcome, coalesce(NEW.error_class, ''), NEW.attempts,
            NEW.prompt_tokens, NEW.completion_tokens, NEW.cached_tokens, NEW.reasoning_tokens,
            NEW.cost_nanousd)
    ON CONFLICT DO UPDATE SET
        attempts          = attempts + excluded.attempts,
        prompt_tokens     = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        cached_tokens     = cached_tokens + excluded.cached_tokens,
        reasoning_tokens  = reasoning_tokens + excluded.reasoning_tokens,
        cost_nanousd      = cost_nanousd + excluded.cost_nanousd;
END;

-- Answers "was there a chat call before or after this one" without touching a row.
DROP INDEX attempts_by_request;
CREATE INDEX attempts_by_request ON attempts (request_id, kind, seq);

CREATE INDEX requests_cost_unknown ON requests (started_at)
    WHERE cost_nanousd IS NULL AND outcome IS NOT NULL;
CREATE INDEX request_hours_cost_unknown ON request_hours (cost_unknown)
    WHERE is_pruned AND cost_unknown > 0;

-- The views for people, over raw and pruned rows alike.
DROP VIEW cost_by_day;
DROP VIEW cost_by_category;
DROP VIEW cost_by_key;
DROP VIEW cost_by_model;
DROP VIEW cost_by_provider;

CREATE VIEW request_history AS
SELECT hour, category, client_key, outcome, requests, prompt_tokens, completion_tokens,
       cost_nanousd, cost_unknown
FROM request_facts
UNION ALL
SELECT hour, category, client_key, outcome, requests, prompt_tokens, completion_tokens,
       cost_nanousd, cost_unknown
FROM request_hours WHERE is_pruned;

CREATE VIEW attempt_history AS
SELECT hour, kind, model, provider, outcome, attempts, prompt_tokens, completion_tokens,
       cost_nanousd, cost_unknown
FROM attempt_facts
UNION ALL
SELECT hour, kind, model, provider, outcome, attempts, prompt_tokens, completion_tokens,
       cost_nanousd, cost_unknown
FROM attempt_hours WHERE is_pruned;

CREATE VIEW cost_by_day AS
SELECT substr(hour, 1, 10)                                         AS day,
       sum(requests)                                               AS requests,
       sum(iif(outcome = 'completed', requests, 0))                AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(sum(cost_nanousd) / 1e9, 9)                           AS cost_usd,
       sum(cost_unknown)                                           AS cost_unknown
FROM request_history GROUP BY 1 ORDER BY 1;

CREATE VIEW cost_by_category AS
SELECT coalesce(nullif(category, ''), '-')                         AS category,
       sum(requests)                                               AS requests,
       sum(iif(outcome = 'completed', requests, 0))                AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(sum(cost_nanousd) / 1e9, 9)                           AS cost_usd,
       sum(cost_unknown)                                           AS cost_unknown
FROM request_history GROUP BY 1 ORDER BY cost_usd DESC, 1;

CREATE VIEW cost_by_key AS
SELECT coalesce(nullif(client_key, ''), '-')                       AS client_key,
       sum(requests)                                               AS requests,
       sum(iif(outcome = 'completed', requests, 0))                AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(sum(cost_nanousd) / 1e9, 9)                           AS cost_usd,
       sum(cost_unknown)                                           AS cost_unknown
FROM request_history GROUP BY 1 ORDER BY cost_usd DESC, 1;

-- Per model and provider the attempts count, not the requests: a failed try costs its own model.
CREATE VIEW cost_by_model AS
SELECT model,
       kind,
       sum(attempts)                                               AS attempts,
       sum(iif(outcome = 'completed', attempts, 0))                AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(sum(cost_nanousd) / 1e9, 9)                           AS cost_usd,
       sum(cost_unknown)                                           AS cost_unknown
FROM attempt_history GROUP BY 1, 2 ORDER BY cost_usd DESC, 1, 2;

CREATE VIEW cost_by_provider AS
SELECT coalesce(nullif(provider, ''), '-')                         AS provider,
       sum(attempts)                                               AS attempts,
       sum(iif(outcome = 'completed', attempts, 0))                AS completed,
       sum(prompt_tokens)                                          AS prompt_tokens,
       sum(completion_tokens)                                      AS completion_tokens,
       round(sum(cost_nanousd) / 1e9, 9)                           AS cost_usd,
       sum(cost_unknown)                                           AS cost_unknown
FROM attempt_history GROUP BY 1 ORDER BY cost_usd DESC, 1;
