-- The life of each workspace's customer key, and which apps are under it. Every configured key has its row in key_lives.

-- States: 1 draft, 2 scheduled, 3 held, 4 armed, 5 in force without a date. Policies: 1 stay, 2 refuse, 3 refuse still. Causes: 1 kill switch.
-- `change` counts the changes, from 1: a write that was decided from an older reading finds it moved and fails.
CREATE TABLE key_lives (
  workspace     TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (workspace),
  change        INTEGER NOT NULL CHECK (change >= 1),
  state         INTEGER NOT NULL,
  plan_at       INTEGER,
  plan_local    TEXT,
  plan_zone     TEXT,
  plan_policy   INTEGER,
  test          BLOB CHECK (length(test) = 16),
  test_config   BLOB CHECK (length(test_config) = 32),
  tested_at     INTEGER,
  rehearsed     INTEGER,
  held_why      TEXT,
  since         INTEGER,
  revoked_by    INTEGER,
  revoked_since INTEGER,
  every_app     INTEGER NOT NULL CHECK (every_app IN (0, 1)),
  changed_at    INTEGER NOT NULL,
  epoch         INTEGER NOT NULL,
  revision      INTEGER NOT NULL,
  mac_key       BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac           BLOB NOT NULL CHECK (length(mac) = 32),
  CHECK (state <> 4 OR (plan_at IS NOT NULL AND test IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- A data key that was made ready for a configuration that changed before its date is given up: it has sealed nothing.
DROP TRIGGER data_keys_move_forward;
CREATE TRIGGER data_keys_move_forward BEFORE UPDATE OF state ON data_keys
  WHEN NEW.state <> OLD.state
   AND (OLD.state, NEW.state) NOT IN (VALUES (1, 2), (1, 3), (1, 5), (2, 3), (2, 5), (3, 4), (3, 5))
  BEGIN SELECT RAISE(ABORT, 'a data key never moves back'); END;

-- Dates that are not decided, or were decided against: looked at twice a second.
CREATE INDEX key_lives_undecided ON key_lives (plan_at) WHERE state IN (1, 2, 3) AND plan_at IS NOT NULL;

CREATE TRIGGER key_lives_only_go_on BEFORE UPDATE ON key_lives WHEN NEW.change < OLD.change
  BEGIN SELECT RAISE(ABORT, 'the changes of a key''s life only rise'); END;
CREATE TRIGGER key_lives_are_enforced_for_good BEFORE UPDATE OF state, plan_at, test, test_config ON key_lives
  WHEN OLD.state IN (4, 5)
   AND (NEW.state, NEW.plan_at, NEW.test, NEW.test_config) IS NOT (OLD.state, OLD.plan_at, OLD.test, OLD.test_config)
  BEGIN SELECT RAISE(ABORT, 'what is decided about a date stays'); END;
CREATE TRIGGER key_lives_stay BEFORE DELETE ON key_lives BEGIN SELECT RAISE(ABORT, 'key lives stay'); END;

CREATE TABLE app_selections (
  workspace  TEXT NOT NULL,
  app        TEXT NOT NULL,
  selected   INTEGER NOT NULL CHECK (selected IN (0, 1)),
  changed_at INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  mac_key    BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac        BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, app),
  FOREIGN KEY (workspace, app) REFERENCES apps (workspace, app)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER app_selections_stay BEFORE DELETE ON app_selections BEGIN SELECT RAISE(ABORT, 'selections stay'); END;
