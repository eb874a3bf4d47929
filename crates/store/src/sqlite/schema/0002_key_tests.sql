-- Tests of a workspace's key configuration, with what each step found. Nothing of them ever changes: enforcement rests on them.
-- steps: a JSON array with one array for each step, [number, state, microseconds, finding, reason, remedy, command].
CREATE TABLE key_tests (
  workspace   TEXT NOT NULL REFERENCES workspaces (workspace),
  test        TEXT NOT NULL CHECK (length(test) = 26),
  config_hash BLOB NOT NULL CHECK (length(config_hash) = 32),
  started_at  INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  steps       TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, test)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER key_tests_never_change
  BEFORE UPDATE OF workspace, test, config_hash, started_at, finished_at, steps ON key_tests
  BEGIN SELECT RAISE(ABORT, 'a test never changes'); END;
CREATE TRIGGER key_tests_stay BEFORE DELETE ON key_tests BEGIN SELECT RAISE(ABORT, 'tests stay'); END;
