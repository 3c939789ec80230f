-- Categories, chains and aliases: one whole document per version, the highest is in force.

CREATE TABLE config_versions (
    version    INTEGER PRIMARY KEY,
    created_at TEXT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    document   TEXT NOT NULL CHECK (json_valid(document))
) STRICT;
