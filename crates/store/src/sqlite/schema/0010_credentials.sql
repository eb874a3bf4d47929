-- What a workspace has to do with its directory: which credential of its own app registration is in use. A workspace without a row has
-- none, and is on the platform's app. Counts its changes, so that two people who change it at once do not undo each other.
CREATE TABLE integrations (
  workspace  TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (workspace),
  change     INTEGER NOT NULL CHECK (change > 0),
  active     BLOB CHECK (length(active) = 16),
  changed_at INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  mac_key    BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac        BLOB NOT NULL CHECK (length(mac) = 32),
  FOREIGN KEY (workspace, active) REFERENCES registration_credentials (workspace, credential)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER integrations_stay BEFORE DELETE ON integrations
  BEGIN SELECT RAISE(ABORT, 'integrations stay'); END;

-- Secrets and certificates of customers' app registrations (kind 1 and 2). The secret part is sealed under the platform's secrets
-- key, and empty when the credential was removed; told are a secret's last four characters or a certificate's public part.
CREATE TABLE registration_credentials (
  workspace  TEXT NOT NULL REFERENCES workspaces (workspace),
  credential BLOB NOT NULL CHECK (length(credential) = 16),
  number     INTEGER NOT NULL CHECK (number > 0),
  cloud      TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  client_id  TEXT NOT NULL,
  kind       INTEGER NOT NULL CHECK (kind IN (1, 2)),
  told       BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  added_by   TEXT NOT NULL,
  tested_at  INTEGER,
  removed_at INTEGER,
  noticed    INTEGER CHECK (noticed BETWEEN 0 AND 65535),
  sealed     BLOB NOT NULL,
  epoch      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  mac_key    BLOB NOT NULL CHECK (length(mac_key) = 16),
  mac        BLOB NOT NULL CHECK (length(mac) = 32),
  PRIMARY KEY (workspace, credential),
  UNIQUE (workspace, number),
  CHECK ((removed_at IS NULL) = (length(sealed) > 0))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER registration_credentials_keep_their_registration
  BEFORE UPDATE OF workspace, credential, number, cloud, tenant, client_id, kind, told, created_at, expires_at, added_by
  ON registration_credentials
  BEGIN SELECT RAISE(ABORT, 'a credential stays the same credential'); END;
CREATE TRIGGER registration_credentials_stay_removed BEFORE UPDATE ON registration_credentials WHEN OLD.removed_at IS NOT NULL
  AND (NEW.removed_at IS NOT OLD.removed_at OR NEW.sealed <> OLD.sealed)
  BEGIN SELECT RAISE(ABORT, 'a removed credential does not come back'); END;
CREATE TRIGGER registration_credentials_stay BEFORE DELETE ON registration_credentials
  BEGIN SELECT RAISE(ABORT, 'credentials stay, without their secret part'); END;
