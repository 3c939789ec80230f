-- [ledger] store_text: what was asked and answered. Empty unless that is on; [ledger] text_days says
-- for how long. `prompt` are the messages as the client sent them, JSON; `answer` are its words.

CREATE TABLE texts (
    request_id TEXT PRIMARY KEY,
    at         TEXT NOT NULL,
    prompt     TEXT NOT NULL,
    answer     TEXT NOT NULL
) STRICT;

CREATE INDEX texts_by_time ON texts (at);
