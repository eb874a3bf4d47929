-- What each life of each replica (boot) counted under a data key: in one hour of UTC (hours since 1970-01-01T00:00:00Z), or in
-- all (hour = -1). Written by adding; `flush` is the number of the last flush that was added, so that one written twice counts
-- once. The sums over boots are made by whoever reads.
CREATE TABLE usage (
  workspace    TEXT NOT NULL,
  hour         INTEGER NOT NULL CHECK (hour >= -1),
  data_key     BLOB NOT NULL,
  boot         BLOB NOT NULL CHECK (length(boot) = 16),
  app          TEXT NOT NULL,
  protection   INTEGER NOT NULL CHECK (protection IN (1, 2)),
  flush        INTEGER NOT NULL,
  seals        INTEGER NOT NULL CHECK (seals >= 0),
  sealed_bytes INTEGER NOT NULL CHECK (sealed_bytes >= 0),
  opens        INTEGER NOT NULL CHECK (opens >= 0),
  opened_bytes INTEGER NOT NULL CHECK (opened_bytes >= 0),
  first_seal   INTEGER,
  last_seal    INTEGER,
  last_open    INTEGER,
  epoch        INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  mac_key      BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac          BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, hour, data_key, boot),
  FOREIGN KEY (workspace, data_key) REFERENCES data_keys (workspace, data_key)
) STRICT, WITHOUT ROWID;

-- For dropping old hours.
CREATE INDEX usage_by_hour ON usage (hour) WHERE hour >= 0;

CREATE TRIGGER usage_keeps_its_key BEFORE UPDATE OF workspace, hour, data_key, boot, app, protection ON usage
  BEGIN SELECT RAISE(ABORT, 'usage stays with its data key'); END;
CREATE TRIGGER usage_only_rises BEFORE UPDATE OF flush, seals, sealed_bytes, opens, opened_bytes ON usage
  WHEN NEW.flush < OLD.flush OR NEW.seals < OLD.seals OR NEW.sealed_bytes < OLD.sealed_bytes
    OR NEW.opens < OLD.opens OR NEW.opened_bytes < OLD.opened_bytes
  BEGIN SELECT RAISE(ABORT, 'usage only rises'); END;
CREATE TRIGGER usage_in_all_stays BEFORE DELETE ON usage WHEN OLD.hour = -1
  BEGIN SELECT RAISE(ABORT, 'usage in all stays'); END;

-- The credential that the last validation of an app stored: a ciphertext like any other of the app.
CREATE TABLE credentials (
  workspace  TEXT NOT NULL,
  app        TEXT NOT NULL,
  data_key   BLOB NOT NULL,
  protection INTEGER NOT NULL CHECK (protection IN (1, 2)),
  ciphertext BLOB NOT NULL,
  stored_at  INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  mac_key    BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac        BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, app),
  FOREIGN KEY (workspace, app) REFERENCES apps (workspace, app),
  FOREIGN KEY (workspace, data_key) REFERENCES data_keys (workspace, data_key)
) STRICT, WITHOUT ROWID;
