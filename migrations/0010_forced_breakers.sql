-- What an operator holds a breaker at, whatever its model does; NULL where nobody does.

ALTER TABLE breakers ADD COLUMN forced TEXT CHECK (forced IN ('open', 'closed'));
