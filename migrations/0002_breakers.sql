-- Breakers, cool-downs and gates as they are now, and every transition there was.
-- `subject` is a full model id, or a gate: 'gate:account', 'gate:transport', 'gate:rate'.
-- Deadlines stand on the boot clock (with the boot they belong to) and as wall time, which is for
-- people and for after a reboot.

CREATE TABLE breakers (
    subject          TEXT PRIMARY KEY,
    state            TEXT NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    since            TEXT NOT NULL,
    until            TEXT,
    until_boot_s     REAL,
    cooldown_until   TEXT,
    cooldown_boot_s  REAL,
    boot_id          TEXT,
    reason           TEXT,
    failures         INTEGER NOT NULL DEFAULT 0,
    wait_s           REAL
) STRICT;

CREATE TABLE breaker_transitions (
    id         INTEGER PRIMARY KEY,
    at         TEXT NOT NULL,
    subject    TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    request_id TEXT
) STRICT;

CREATE INDEX breaker_transitions_by_subject ON breaker_transitions (subject, id);
