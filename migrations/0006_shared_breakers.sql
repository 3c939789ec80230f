-- Several processes may change a breaker and read what others made of it.
-- `stamp` orders the changes of one subject (microseconds of the boot clock of whoever made it);
-- `serial` grows with every write, so that a reader can ask for what has changed since.

ALTER TABLE breakers ADD COLUMN stamp  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE breakers ADD COLUMN serial INTEGER NOT NULL DEFAULT 0;

CREATE INDEX breakers_by_serial ON breakers (serial);
