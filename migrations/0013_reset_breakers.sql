-- The stamp of an operator's latest word about a breaker: what any process counted before it is forgotten.

ALTER TABLE breakers ADD COLUMN counts_from INTEGER NOT NULL DEFAULT 0;
