-- The head outside of the database that was known when the last commit was made: epoch 8, revision 8, digest 32. NULL: it has had none.
ALTER TABLE meta ADD COLUMN anchored BLOB CHECK (length(anchored) = 48);

-- I-4: a wrapping stays what it is. Its outer layer goes over to another platform key together with its row's code, or to the one
-- that its row's code is under already: the length stays, and only what a platform key wrapped is wrapped anew, under the code's key.
-- A sealed blob names its key from its second byte on.
DROP TRIGGER wrappings_never_change;
CREATE TRIGGER wrappings_never_change
  BEFORE UPDATE OF workspace, data_key, number, wrapped_by, wrapping_key, scheme, sealed_blob, created_at ON wrappings
  WHEN NOT (
    (NEW.workspace, NEW.data_key, NEW.number, NEW.wrapped_by, NEW.wrapping_key, NEW.scheme, NEW.created_at)
      IS (OLD.workspace, OLD.data_key, OLD.number, OLD.wrapped_by, OLD.wrapping_key, OLD.scheme, OLD.created_at)
    AND NEW.sealed_blob = x''
    AND EXISTS (SELECT 1 FROM data_keys WHERE workspace = OLD.workspace AND data_key = OLD.data_key
                  AND destroyed_at IS NOT NULL))
   AND NOT (
    (NEW.workspace, NEW.data_key, NEW.number, NEW.wrapped_by, NEW.scheme, NEW.created_at)
      IS (OLD.workspace, OLD.data_key, OLD.number, OLD.wrapped_by, OLD.scheme, OLD.created_at)
    AND (NEW.wrapping_key IS OLD.wrapping_key OR (OLD.wrapped_by = 1 AND NEW.wrapping_key = NEW.mac_key))
    AND length(NEW.sealed_blob) = length(OLD.sealed_blob)
    AND (NEW.mac_key <> OLD.mac_key
      OR (OLD.sealed_blob <> x'' AND substr(NEW.sealed_blob, 2, 16) = NEW.mac_key
            AND substr(OLD.sealed_blob, 2, 16) <> NEW.mac_key)
      OR (OLD.sealed_blob = x'' AND NEW.wrapping_key <> OLD.wrapping_key)))
  BEGIN SELECT RAISE(ABORT, 'a wrapping is never overwritten'); END;
