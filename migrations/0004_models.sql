-- The provider's model list as last seen, and what each model cost over time.
-- Prices are decimal strings in USD per token, exactly as the provider writes them.

CREATE TABLE models (
    id         TEXT PRIMARY KEY,
    document   TEXT NOT NULL CHECK (json_valid(document)),
    fetched_at TEXT NOT NULL
) STRICT;

CREATE TABLE prices (
    model      TEXT NOT NULL,
    valid_from TEXT NOT NULL,
    pricing    TEXT NOT NULL CHECK (json_valid(pricing)),
    PRIMARY KEY (model, valid_from)
) STRICT, WITHOUT ROWID;
