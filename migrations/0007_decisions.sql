-- Why a request went where it went, and what another way of deciding would have said.
-- `rule` is what decided, in words: names of rules, words of the vocabulary, never a prompt.
-- `skipped` are the classifiers that could not decide and why. `left_out` is a JSON object of the
-- candidates that were not asked: full model id to the reason. NULL where there is nothing to say.

ALTER TABLE requests ADD COLUMN rule TEXT;
ALTER TABLE requests ADD COLUMN runner_up TEXT;
ALTER TABLE requests ADD COLUMN runner_up_confidence REAL;
ALTER TABLE requests ADD COLUMN skipped TEXT;
ALTER TABLE requests ADD COLUMN left_out TEXT;

-- [classifier] shadow: the decision in force beside that of another mode, for the same text.
-- `category` is what the classifier said, also where a session then kept another one.
CREATE TABLE shadow_decisions (
    request_id        TEXT PRIMARY KEY,
    at                TEXT NOT NULL,
    classifier        TEXT NOT NULL,
    category          TEXT NOT NULL,
    confidence        REAL,
    shadow_mode       TEXT NOT NULL,
    shadow_classifier TEXT NOT NULL,
    shadow_category   TEXT NOT NULL,
    shadow_confidence REAL,
    shadow_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW shadow_agreement AS
SELECT s.shadow_mode                                               AS shadow_mode,
       s.category                                                  AS category,
       s.shadow_category                                           AS shadow_category,
       count(*)                                                    AS requests,
       round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY s.shadow_mode, s.category), 1)
                                                                   AS percent,
       round(avg(s.confidence), 3)                                 AS confidence,
       round(avg(s.shadow_confidence), 3)                          AS shadow_confidence,
       round(coalesce(sum(r.cost_nanousd), 0) / 1e9, 9)            AS cost_usd
FROM shadow_decisions s LEFT JOIN requests r ON r.id = s.request_id
GROUP BY 1, 2, 3 ORDER BY 1, 2, requests DESC, 3;
