-- Directories, and keys that were proven. A directory may be several workspaces'; a key, once proven, is one workspace's alone.

-- Origins: 1 asked for, 2 implied by a key that was configured. States: 1 named, 2 came back, 3 proven by signing in, 4 proven by a key's
-- tag, 5 disconnected. `state_at` is when it came to be so, absent for 1.
CREATE TABLE tenant_links (
  workspace   TEXT NOT NULL REFERENCES workspaces (workspace),
  cloud       TEXT NOT NULL,
  tenant      TEXT NOT NULL CHECK (tenant = lower(tenant)),
  typed       TEXT NOT NULL,
  origin      INTEGER NOT NULL CHECK (origin IN (1, 2)),
  named_at    INTEGER NOT NULL,
  state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
  state_at    INTEGER,
  proven_by   TEXT,
  admin       INTEGER CHECK (admin IN (0, 1)),
  app_at      INTEGER,
  app_refused TEXT,
  epoch       INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, cloud, tenant),
  CHECK ((state = 1) = (state_at IS NULL)),
  CHECK ((state = 3) = (admin IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tenant_links_stay BEFORE DELETE ON tenant_links BEGIN SELECT RAISE(ABORT, 'what was named stays'); END;

CREATE TABLE tag_nonces (
  workspace   TEXT NOT NULL REFERENCES workspaces (workspace),
  key         TEXT NOT NULL CHECK (key = lower(key)),
  tenant      TEXT NOT NULL,
  value       BLOB NOT NULL CHECK (length(value) = 16),
  drawn_at    INTEGER NOT NULL,
  consumed_at INTEGER,
  previous    BLOB CHECK (length(previous) = 16),
  epoch       INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, key, tenant)
) STRICT, WITHOUT ROWID;

-- A nonce proves once: what was used is replaced by another one, and never made fresh again.
CREATE TRIGGER tag_nonces_are_used_once BEFORE UPDATE ON tag_nonces
  WHEN NEW.value IS OLD.value AND OLD.consumed_at IS NOT NULL AND NEW.consumed_at IS NOT OLD.consumed_at
  BEGIN SELECT RAISE(ABORT, 'a nonce is used once'); END;

CREATE TABLE proven_keys (
  workspace   TEXT NOT NULL REFERENCES workspaces (workspace),
  key         TEXT NOT NULL CHECK (key = lower(key)),
  tenant      TEXT NOT NULL,
  at          INTEGER NOT NULL,
  test        TEXT,
  nonce       BLOB CHECK (length(nonce) = 16),
  void_since  INTEGER,
  released_at INTEGER,
  epoch       INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  mac_key     BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac         BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;

-- Cloud, vault and key, as one address: two that prove the same key at once have one winner. What is only drafted claims nothing.
CREATE UNIQUE INDEX proven_keys_are_one_workspaces ON proven_keys (lower(key)) WHERE released_at IS NULL;
CREATE TRIGGER proven_keys_stay BEFORE DELETE ON proven_keys BEGIN SELECT RAISE(ABORT, 'proofs stay'); END;
