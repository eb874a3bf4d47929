-- What a workspace chose about the versions of its key that are made and switched in its vault. NULL is the usual: new versions are
-- followed, and a newest version that is switched off takes the key back. 0 is the other choice. Rows of before are the same rows.

ALTER TABLE key_configs ADD COLUMN follow_new_versions INTEGER CHECK (follow_new_versions = 0);
ALTER TABLE key_configs ADD COLUMN newest_version_counts INTEGER CHECK (newest_version_counts = 0);
