-- Work that takes longer than a call. Kinds: 1 rotate the customer's key from one version to another, 2 give apps new data
-- keys. States: 1 planned, 2 running, 3 done, 4 cancelled, 5 failed.

CREATE TABLE operations (
  workspace     TEXT NOT NULL REFERENCES workspaces (workspace),
  operation     BLOB NOT NULL UNIQUE CHECK (length(operation) = 16),
  kind          INTEGER NOT NULL CHECK (kind IN (1, 2)),
  from_version  BLOB CHECK (length(from_version) = 16),
  to_version    BLOB CHECK (length(to_version) = 16),
  app           TEXT,
  active_before INTEGER,
  state         INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
  total         INTEGER NOT NULL CHECK (total >= 0),
  done          INTEGER NOT NULL CHECK (done >= 0),
  failing       INTEGER NOT NULL CHECK (failing >= 0),
  cancelling    INTEGER NOT NULL CHECK (cancelling IN (0, 1)),
  reason        TEXT,
  actor         TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  switched_at   INTEGER,
  finished_at   INTEGER,
  epoch         INTEGER NOT NULL,
  revision      INTEGER NOT NULL,
  mac_key       BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac           BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, operation)
) STRICT, WITHOUT ROWID;

-- Two begun at once: one wins.
CREATE UNIQUE INDEX operations_one_open ON operations (workspace) WHERE state IN (1, 2);

CREATE TRIGGER operations_keep_their_purpose
  BEFORE UPDATE OF workspace, operation, kind, from_version, to_version, app, active_before, actor, created_at ON operations
  BEGIN SELECT RAISE(ABORT, 'an operation keeps its purpose'); END;
-- I-23: forward only. What has ended stays as it ended.
CREATE TRIGGER operations_move_forward BEFORE UPDATE OF state ON operations
  WHEN NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (VALUES (1, 2), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5))
  BEGIN SELECT RAISE(ABORT, 'an operation never moves back'); END;
CREATE TRIGGER operations_end_once
  BEFORE UPDATE OF total, done, failing, cancelling, reason, updated_at, switched_at, finished_at ON operations
  WHEN OLD.state NOT IN (1, 2)
  BEGIN SELECT RAISE(ABORT, 'an operation that has ended never changes'); END;
CREATE TRIGGER operations_switch_once BEFORE UPDATE OF switched_at ON operations
  WHEN OLD.switched_at IS NOT NULL AND NEW.switched_at IS NOT OLD.switched_at
  BEGIN SELECT RAISE(ABORT, 'an operation switches once'); END;
CREATE TRIGGER operations_stay BEFORE DELETE ON operations BEGIN SELECT RAISE(ABORT, 'operations stay'); END;

-- I-4: a data key's current wrapping is the newest that was added, never an older one again.
CREATE TRIGGER current_wrappings_only_rise BEFORE UPDATE OF wrapping ON data_keys WHEN NEW.wrapping < OLD.wrapping
  BEGIN SELECT RAISE(ABORT, 'an older wrapping never comes back'); END;
