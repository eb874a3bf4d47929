-- Who ever had a hand in a caller: the names of all who made or changed it, one a line. They decide who may approve as it, and for it.
-- NULL for what was not changed since: who made and who changed it last is known of those. Rows of before are the same rows.

ALTER TABLE callers ADD COLUMN hands TEXT CHECK (hands <> '');

CREATE TRIGGER callers_keep_their_hands BEFORE UPDATE OF hands ON callers
  WHEN OLD.hands IS NOT NULL AND (NEW.hands IS NULL OR substr(NEW.hands || char(10), 1, length(OLD.hands) + 1) <> OLD.hands || char(10))
  BEGIN SELECT RAISE(ABORT, 'a hand in a caller is never forgotten'); END;
