-- Callers that are kept here, beside those in the configuration. They are the platform's: their rows are in the platform's set.
-- Of a token only the SHA-256 is kept; there are two places, so that a new one is in use before the old one goes. Grants stand one a
-- line. A deleted caller leaves its row, by which its id is never given out again, and nothing else.

CREATE TABLE callers (
  caller          TEXT NOT NULL PRIMARY KEY,
  certificate     TEXT,
  token_a         BLOB CHECK (length(token_a) = 32),
  token_a_by      TEXT,
  token_a_at      INTEGER,
  token_a_expires INTEGER,
  token_b         BLOB CHECK (length(token_b) = 32),
  token_b_by      TEXT,
  token_b_at      INTEGER,
  token_b_expires INTEGER,
  grants          TEXT NOT NULL,
  expires         INTEGER,
  disabled        INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  created_by      TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  changed_by      TEXT NOT NULL,
  changed_at      INTEGER NOT NULL,
  deleted_at      INTEGER,
  epoch           INTEGER NOT NULL,
  revision        INTEGER NOT NULL,
  mac_key         BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac             BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT, WITHOUT ROWID;

-- A certificate that is two callers' is nobody's.
CREATE UNIQUE INDEX callers_certificate ON callers (certificate) WHERE certificate IS NOT NULL;
-- Asked twice a second: was any written since?
CREATE INDEX callers_revision ON callers (revision);

CREATE TRIGGER callers_stay BEFORE DELETE ON callers BEGIN SELECT RAISE(ABORT, 'callers stay'); END;
CREATE TRIGGER callers_keep_their_birth BEFORE UPDATE OF caller, created_by, created_at ON callers
  WHEN (NEW.caller, NEW.created_by, NEW.created_at) IS NOT (OLD.caller, OLD.created_by, OLD.created_at)
  BEGIN SELECT RAISE(ABORT, 'a caller keeps its birth'); END;
CREATE TRIGGER callers_are_deleted_once BEFORE UPDATE OF certificate, token_a, token_b, grants, expires, disabled, deleted_at
  ON callers WHEN OLD.deleted_at IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a deleted caller never changes'); END;
