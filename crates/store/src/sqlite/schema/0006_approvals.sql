-- What needs a second person, and what it may do: go over to another key, leave the customer's key, destroy a data key.
-- Kinds: 3 replace the customer's key, 4 leave it, 5 destroy a data key. States: 6 awaiting approval, 7 approved and waiting,
-- 8 rejected, 9 expired. Rows of before are the same rows, byte for byte.

CREATE TABLE operations_with_approvals (
  workspace     TEXT NOT NULL REFERENCES workspaces (workspace),
  operation     BLOB NOT NULL UNIQUE CHECK (length(operation) = 16),
  kind          INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
  from_version  BLOB CHECK (length(from_version) = 16),
  to_version    BLOB CHECK (length(to_version) = 16),
  app           TEXT,
  active_before INTEGER,
  state         INTEGER NOT NULL CHECK (state BETWEEN 1 AND 9),
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
  key           TEXT,
  tenant        TEXT,
  data_key      TEXT,
  approve_by    INTEGER,
  waits         INTEGER CHECK (waits >= 0),
  decided_by    TEXT CHECK (decided_by <> actor),
  decided_at    INTEGER,
  approved      INTEGER CHECK (approved IN (0, 1)),
  PRIMARY KEY (workspace, operation),
  -- Leaving and destroying are never done on one person's word.
  CHECK (kind NOT IN (4, 5) OR approve_by IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO operations_with_approvals SELECT *, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM operations;
DROP TABLE operations;
ALTER TABLE operations_with_approvals RENAME TO operations;

-- Two begun at once: one wins.
CREATE UNIQUE INDEX operations_one_open ON operations (workspace) WHERE state IN (1, 2);
CREATE INDEX operations_held_back ON operations (workspace, operation) WHERE state IN (6, 7);

CREATE TRIGGER operations_keep_their_purpose
  BEFORE UPDATE OF workspace, operation, kind, from_version, to_version, app, active_before, actor, created_at, key, tenant,
                   data_key, approve_by, waits ON operations
  BEGIN SELECT RAISE(ABORT, 'an operation keeps its purpose'); END;
-- I-23: forward only. What has ended stays as it ended.
CREATE TRIGGER operations_move_forward BEFORE UPDATE OF state ON operations
  WHEN NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (VALUES
    (1, 2), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5), (6, 4), (6, 5), (6, 7), (6, 8), (6, 9), (7, 2), (7, 4), (7, 5))
  BEGIN SELECT RAISE(ABORT, 'an operation never moves back'); END;
CREATE TRIGGER operations_end_once
  BEFORE UPDATE OF total, done, failing, cancelling, reason, updated_at, switched_at, finished_at, decided_by, decided_at,
                   approved ON operations
  WHEN OLD.state NOT IN (1, 2, 6, 7)
  BEGIN SELECT RAISE(ABORT, 'an operation that has ended never changes'); END;
CREATE TRIGGER operations_switch_once BEFORE UPDATE OF switched_at ON operations
  WHEN OLD.switched_at IS NOT NULL AND NEW.switched_at IS NOT OLD.switched_at
  BEGIN SELECT RAISE(ABORT, 'an operation switches once'); END;
CREATE TRIGGER operations_stay BEFORE DELETE ON operations BEGIN SELECT RAISE(ABORT, 'operations stay'); END;

-- I-5: nothing that needs approval begins without it, whoever writes; and what was decided stays decided.
CREATE TRIGGER operations_are_approved BEFORE UPDATE OF state ON operations
  WHEN NEW.state IN (2, 7) AND NEW.approve_by IS NOT NULL
   AND (NEW.approved IS NOT 1 OR NEW.decided_by IS NULL OR NEW.decided_at IS NULL)
  BEGIN SELECT RAISE(ABORT, 'nobody approved the operation'); END;
-- After: what updates a row comes by as an insert first.
CREATE TRIGGER operations_begin_unapproved AFTER INSERT ON operations
  WHEN (NEW.approve_by IS NOT NULL AND NEW.state <> 6) OR (NEW.approve_by IS NULL AND NEW.state IN (6, 7, 8, 9))
  BEGIN SELECT RAISE(ABORT, 'an operation that needs approval begins by awaiting it'); END;
CREATE TRIGGER operations_are_decided_once BEFORE UPDATE OF decided_by, decided_at, approved ON operations
  WHEN OLD.decided_by IS NOT NULL
   AND (NEW.decided_by IS NOT OLD.decided_by OR NEW.decided_at IS NOT OLD.decided_at OR NEW.approved IS NOT OLD.approved)
  BEGIN SELECT RAISE(ABORT, 'an operation is decided once'); END;

ALTER TABLE key_configs ADD COLUMN left_at INTEGER;

-- Settled once, when the key is replaced; the configuration's tenant may be another from then on.
ALTER TABLE key_versions ADD COLUMN tenant TEXT;
CREATE TRIGGER key_versions_keep_their_tenant BEFORE UPDATE OF tenant ON key_versions
  WHEN OLD.tenant IS NOT NULL AND NEW.tenant IS NOT OLD.tenant
  BEGIN SELECT RAISE(ABORT, 'a key version is recorded once'); END;

-- The tombstone of a destroyed data key is its row; only its wrapped bytes go.
ALTER TABLE data_keys ADD COLUMN destroyed_at INTEGER;
CREATE TRIGGER data_keys_are_destroyed_once BEFORE UPDATE OF destroyed_at ON data_keys
  WHEN OLD.state <> 4 OR OLD.destroyed_at IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a data key is destroyed once, when it is retired'); END;

CREATE INDEX data_keys_destroyed ON data_keys (workspace) WHERE destroyed_at IS NOT NULL;

DROP TRIGGER wrappings_never_change;
CREATE TRIGGER wrappings_never_change
  BEFORE UPDATE OF workspace, data_key, number, wrapped_by, wrapping_key, scheme, sealed_blob, created_at ON wrappings
  WHEN NOT (
    (NEW.workspace, NEW.data_key, NEW.number, NEW.wrapped_by, NEW.wrapping_key, NEW.scheme, NEW.created_at)
      IS (OLD.workspace, OLD.data_key, OLD.number, OLD.wrapped_by, OLD.wrapping_key, OLD.scheme, OLD.created_at)
    AND NEW.sealed_blob = x''
    AND EXISTS (SELECT 1 FROM data_keys WHERE workspace = OLD.workspace AND data_key = OLD.data_key
                  AND destroyed_at IS NOT NULL))
  BEGIN SELECT RAISE(ABORT, 'a wrapping is never overwritten'); END;
