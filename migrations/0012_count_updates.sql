-- Rows are counted by whoever inserts them (llm_router/storage/batch.py), not by triggers: only to be
-- asked whether it shall do something, a trigger on INSERT took a seventh of what a row costs. Those on
-- UPDATE and DELETE stay. A row that is not counted at once is inserted as one in flight and then
-- updated with what is said of it.

DROP TRIGGER requests_insert;
DROP TRIGGER attempts_insert;
DROP TABLE tallying;
