-- What the journal said of requests that have just begun and are no rows yet, as it said it
-- (llm_router/ledger/waiting.py). Most end within seconds and become rows once, which takes a third of
-- what it takes to write a row at the beginning and again at the end. `number` grows.

CREATE TABLE journal_waiting (
    number  INTEGER PRIMARY KEY,
    process TEXT NOT NULL,
    entries BLOB NOT NULL
) STRICT;
