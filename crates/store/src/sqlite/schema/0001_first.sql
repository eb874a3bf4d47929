-- Every table leads with the workspace it belongs to. Times are microseconds since 1970-01-01T00:00:00Z.
-- (epoch, revision) say when a row was written; (mac_key, mac) are its code, made with a key that is not in here.
-- (Only those four may change in a row that is otherwise final: that is how rows move to a new platform root.)
-- The triggers hold what may never happen against a slip in our own code; the codes hold it against everybody else.

CREATE TABLE meta (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  cluster_id  BLOB NOT NULL CHECK (length(cluster_id) = 16),
  epoch       INTEGER NOT NULL CHECK (epoch >= 1),
  revision    INTEGER NOT NULL CHECK (revision >= 0),
  schema      INTEGER NOT NULL,
  root_check  BLOB NOT NULL CHECK (length(root_check) = 16),
  sum         BLOB NOT NULL CHECK (length(sum) = 256),
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;

CREATE TRIGGER meta_only_rises BEFORE UPDATE ON meta
  WHEN NEW.epoch < OLD.epoch OR (NEW.epoch = OLD.epoch AND NEW.revision < OLD.revision)
  BEGIN SELECT RAISE(ABORT, 'revisions only rise'); END;
CREATE TRIGGER meta_stays BEFORE DELETE ON meta BEGIN SELECT RAISE(ABORT, 'the meta row stays'); END;

-- One row for each workspace, and one with an empty name for the platform's audit chain.
CREATE TABLE sets (
  workspace   TEXT NOT NULL PRIMARY KEY,
  rows        INTEGER NOT NULL CHECK (rows >= 0),
  sum         BLOB NOT NULL CHECK (length(sum) = 256),
  wrappings   INTEGER NOT NULL CHECK (wrappings >= 0),
  audit_seq   INTEGER NOT NULL CHECK (audit_seq >= 0),
  audit_hash  BLOB NOT NULL CHECK (length(audit_hash) = 32),
  epoch       INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sets_stay BEFORE DELETE ON sets BEGIN SELECT RAISE(ABORT, 'sets stay'); END;

CREATE TABLE workspaces (
  workspace    TEXT NOT NULL PRIMARY KEY,
  display_name TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  deleted_at   INTEGER,
  epoch        INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  mac_key      BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac          BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER workspace_tombstones_stay
  BEFORE UPDATE OF workspace, display_name, created_at, deleted_at ON workspaces WHEN OLD.deleted_at IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a tombstone never changes'); END;
CREATE TRIGGER workspaces_stay BEFORE DELETE ON workspaces BEGIN SELECT RAISE(ABORT, 'ids are never reused'); END;

CREATE TABLE apps (
  workspace    TEXT NOT NULL REFERENCES workspaces (workspace),
  app          TEXT NOT NULL,
  kind         INTEGER NOT NULL,
  display_name TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  deleted_at   INTEGER,
  epoch        INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  mac_key      BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac          BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, app)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER app_tombstones_stay
  BEFORE UPDATE OF workspace, app, kind, display_name, created_at, deleted_at ON apps WHEN OLD.deleted_at IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a tombstone never changes'); END;
CREATE TRIGGER apps_stay BEFORE DELETE ON apps BEGIN SELECT RAISE(ABORT, 'ids are never reused'); END;

CREATE TABLE key_versions (
  workspace   TEXT NOT NULL REFERENCES workspaces (workspace),
  version     BLOB NOT NULL CHECK (length(version) = 16),
  kid         TEXT NOT NULL,
  modulus     BLOB NOT NULL,
  exponent    BLOB NOT NULL,
  thumbprint  BLOB NOT NULL CHECK (length(thumbprint) = 32),
  hsm         INTEGER NOT NULL CHECK (hsm IN (0, 1)),
  recorded_at INTEGER NOT NULL,
  epoch       INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER key_versions_keep_their_key
  BEFORE UPDATE OF workspace, version, kid, modulus, exponent, thumbprint, hsm, recorded_at ON key_versions
  BEGIN SELECT RAISE(ABORT, 'a key version is recorded once'); END;
CREATE TRIGGER key_versions_stay BEFORE DELETE ON key_versions BEGIN SELECT RAISE(ABORT, 'key versions stay'); END;

CREATE TABLE key_configs (
  workspace       TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (workspace),
  key             TEXT NOT NULL,
  tenant          TEXT NOT NULL,
  current_version BLOB NOT NULL CHECK (length(current_version) = 16),
  wrap_epoch      INTEGER NOT NULL,
  lease           INTEGER NOT NULL,
  configured_at   INTEGER NOT NULL,
  epoch           INTEGER NOT NULL,
  revision        INTEGER NOT NULL,
  mac_key         BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac             BLOB NOT NULL CHECK (length(mac) = 32),
  FOREIGN KEY (workspace, current_version) REFERENCES key_versions (workspace, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER wrap_epochs_only_rise BEFORE UPDATE ON key_configs WHEN NEW.wrap_epoch < OLD.wrap_epoch
  BEGIN SELECT RAISE(ABORT, 'wrap epochs only rise'); END;
CREATE TRIGGER key_configs_stay BEFORE DELETE ON key_configs BEGIN SELECT RAISE(ABORT, 'key configurations stay'); END;

-- `wrapping` is the number of the wrapping to unwrap. It is covered by the row's code, so that a newer one taken away shows.
-- States: 1 pending, 2 staged, 3 active, 4 retired, 5 abandoned. Protections: 1 platform key, 2 customer key.
CREATE TABLE data_keys (
  workspace       TEXT NOT NULL,
  data_key        BLOB NOT NULL CHECK (length(data_key) = 16),
  app             TEXT NOT NULL,
  protection      INTEGER NOT NULL CHECK (protection IN (1, 2)),
  state           INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
  key_check_value BLOB NOT NULL CHECK (length(key_check_value) = 16),
  wrap_epoch      INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  activated_at    INTEGER,
  retired_at      INTEGER,
  wrapping        INTEGER NOT NULL CHECK (wrapping >= 1),
  epoch           INTEGER NOT NULL,
  revision        INTEGER NOT NULL,
  mac_key         BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac             BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, data_key),
  FOREIGN KEY (workspace, app) REFERENCES apps (workspace, app)
) STRICT, WITHOUT ROWID;

-- I-19: whatever the code above believes, there is one winner.
CREATE UNIQUE INDEX data_keys_one_active ON data_keys (workspace, app, protection) WHERE state = 3;

-- I-2: born pending. I-18: whose it is and under which protection never changes.
CREATE TRIGGER data_keys_are_born_pending BEFORE INSERT ON data_keys WHEN NEW.state <> 1
  BEGIN SELECT RAISE(ABORT, 'a data key is born pending'); END;
CREATE TRIGGER data_keys_keep_their_identity
  BEFORE UPDATE OF workspace, data_key, app, protection, key_check_value, created_at ON data_keys
  BEGIN SELECT RAISE(ABORT, 'a data key keeps its identity'); END;
CREATE TRIGGER data_keys_move_forward BEFORE UPDATE OF state ON data_keys
  WHEN NEW.state <> OLD.state
   AND (OLD.state, NEW.state) NOT IN (VALUES (1, 2), (1, 3), (1, 5), (2, 3), (2, 5), (3, 4))
  BEGIN SELECT RAISE(ABORT, 'a data key never moves back'); END;
CREATE TRIGGER data_keys_stay BEFORE DELETE ON data_keys BEGIN SELECT RAISE(ABORT, 'data keys stay'); END;

-- I-4: rows are only added. Numbered through a workspace in the order they came, so that a batch of them fills pages one after
-- the other instead of touching one page each. wrapped_by: 1 a platform key, 2 a key version.
CREATE TABLE wrappings (
  workspace    TEXT NOT NULL,
  number       INTEGER NOT NULL CHECK (number >= 1),
  data_key     BLOB NOT NULL,
  wrapped_by   INTEGER NOT NULL CHECK (wrapped_by IN (1, 2)),
  wrapping_key BLOB NOT NULL CHECK (length(wrapping_key) = 16),
  scheme       INTEGER NOT NULL,
  sealed_blob  BLOB NOT NULL,
  created_at   INTEGER NOT NULL,
  epoch        INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  mac_key      BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac          BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, number),
  FOREIGN KEY (workspace, data_key) REFERENCES data_keys (workspace, data_key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER wrappings_never_change
  BEFORE UPDATE OF workspace, data_key, number, wrapped_by, wrapping_key, scheme, sealed_blob, created_at ON wrappings
  BEGIN SELECT RAISE(ABORT, 'a wrapping is never overwritten'); END;
CREATE TRIGGER wrappings_stay BEFORE DELETE ON wrappings BEGIN SELECT RAISE(ABORT, 'wrappings stay'); END;

-- One chain for each workspace, and the platform's under an empty name. Details: a JSON array of [key, value] pairs.
CREATE TABLE audit (
  workspace TEXT NOT NULL,
  seq       INTEGER NOT NULL CHECK (seq >= 1),
  at        INTEGER NOT NULL,
  actor     TEXT NOT NULL,
  name      TEXT NOT NULL,
  details   TEXT NOT NULL,
  previous  BLOB NOT NULL CHECK (length(previous) = 32),
  hash      BLOB NOT NULL CHECK (length(hash) = 32),
  epoch     INTEGER NOT NULL,
  revision  INTEGER NOT NULL,
  mac_key   BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac       BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_never_changes
  BEFORE UPDATE OF workspace, seq, at, actor, name, details, previous, hash ON audit
  BEGIN SELECT RAISE(ABORT, 'an audit event never changes'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit events stay'); END;
