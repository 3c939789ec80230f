-- [classifier] sticky = "session": what each session of the last hour stays with, so that a restart
-- does not forget it and every worker knows it. `serial` grows with every write, so that a reader
-- can ask for what has changed since. `client_key` is '' where there is none.

CREATE TABLE sessions (
    client_key TEXT NOT NULL,
    session    TEXT NOT NULL,
    at         TEXT NOT NULL,
    category   TEXT NOT NULL,
    classifier TEXT NOT NULL,
    confidence REAL,
    model      TEXT NOT NULL,
    serial     INTEGER NOT NULL,
    PRIMARY KEY (client_key, session)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_serial ON sessions (serial);
CREATE INDEX sessions_by_time ON sessions (at);
