//! How the columns of each table become a row.

use std::time::Duration;

use domain::key_config::VersionChoices;
use domain::{
    App, ConfigHash, DataKey, DataKeyId, KeyConfig, KeyLocation, KeyTest, KeyVersion, KeyVersionId, KeyVersionLocation,
    Protection, Workspace, WorkspaceId, Wrapping, key_identifier::KeyIdentifier,
};

use super::fields::Fields;
use super::read::Stored;
use crate::row::{self, NumberedWrapping, SetHead, WrappedKey};
use crate::set::SetSum;
use crate::{RecordedEvent, StoreError, key_test_steps};

impl Stored for Workspace {
    const COLUMNS: &'static str = "workspace, display_name, created_at, deleted_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: fields.parsed()?,
            display_name: fields.text()?.to_owned(),
            created_at: fields.time()?,
            deleted_at: fields.optional_time()?,
        })
    }
}

impl Stored for App {
    const COLUMNS: &'static str = "workspace, app, kind, display_name, created_at, deleted_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            id: fields.parsed()?,
            kind: fields.code(row::app_kind)?,
            display_name: fields.text()?.to_owned(),
            created_at: fields.time()?,
            deleted_at: fields.optional_time()?,
        })
    }
}

impl Stored for KeyConfig {
    const COLUMNS: &'static str = "workspace, key, tenant, current_version, wrap_epoch, lease, configured_at, left_at,
         follow_new_versions, newest_version_counts";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            location: location(fields)?,
            tenant: fields.spelled()?,
            current_version: KeyVersionId::from_bytes(fields.array()?),
            wrap_epoch: fields.count()?,
            lease: Duration::from_micros(fields.count()?),
            configured_at: fields.time()?,
            left_at: fields.optional_time()?,
            choices: VersionChoices {
                follow_new_versions: fields.unless_off()?,
                newest_version_counts: fields.unless_off()?,
            },
        })
    }
}

impl Stored for KeyVersion {
    const COLUMNS: &'static str = "workspace, version, kid, modulus, exponent, thumbprint, hsm, recorded_at, tenant";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            id: KeyVersionId::from_bytes(fields.array()?),
            location: version_location(fields)?,
            modulus: fields.bytes()?.to_owned(),
            exponent: fields.bytes()?.to_owned(),
            thumbprint: fields.array()?,
            hsm: fields.code(|code| match code {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            })?,
            recorded_at: fields.time()?,
            tenant: match fields.optional_text()? {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| fields.forged())?),
            },
        })
    }
}

impl Stored for KeyTest {
    const COLUMNS: &'static str = "workspace, test, config_hash, started_at, finished_at, steps";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            id: fields.parsed()?,
            config_hash: ConfigHash(fields.array()?),
            started_at: fields.time()?,
            finished_at: fields.time()?,
            steps: key_test_steps::parse(fields.text()?).ok_or_else(|| fields.forged())?,
        })
    }
}

impl Stored for WrappedKey {
    const COLUMNS: &'static str = "workspace, data_key, app, protection, state, key_check_value, wrap_epoch, created_at, \
                                   activated_at, retired_at, destroyed_at, wrapping";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let key = DataKey {
            workspace: fields.parsed()?,
            id: DataKeyId::from_bytes(fields.array()?),
            app: fields.parsed()?,
            protection: fields.code(|code| Protection::from_byte(u8::try_from(code).ok()?))?,
            state: fields.code(row::state)?,
            key_check_value: fields.array()?,
            wrap_epoch: fields.count()?,
            created_at: fields.time()?,
            activated_at: fields.optional_time()?,
            retired_at: fields.optional_time()?,
            destroyed_at: fields.optional_time()?,
        };
        Ok(Self { key, wrapping: fields.count()? })
    }
}

impl Stored for NumberedWrapping {
    const COLUMNS: &'static str =
        "workspace, number, data_key, wrapped_by, wrapping_key, scheme, sealed_blob, created_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let workspace = fields.parsed()?;
        let number = fields.count()?;
        let data_key = DataKeyId::from_bytes(fields.array()?);
        let kind = fields.number()?;
        let wrapped_by = row::wrapping_key(kind, fields.array()?).ok_or_else(|| fields.forged())?;
        let scheme = fields.code(row::scheme)?;
        let sealed_blob = fields.bytes()?.to_owned();
        let created_at = fields.time()?;
        Ok(Self { number, wrapping: Wrapping { workspace, data_key, wrapped_by, scheme, sealed_blob, created_at } })
    }
}

impl Stored for RecordedEvent {
    const COLUMNS: &'static str = "workspace, seq, at, actor, name, details, previous, hash";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let event = Self {
            workspace: optional_workspace(fields)?,
            seq: fields.count()?,
            at: fields.time()?,
            actor: fields.text()?.to_owned(),
            name: fields.text()?.to_owned(),
            details: details(fields)?,
            previous: fields.array()?,
            hash: fields.array()?,
        };
        // The code covers the hash, and the hash the content.
        if event.hash == event.expected_hash() { Ok(event) } else { Err(fields.forged()) }
    }
}

impl Stored for SetHead {
    const COLUMNS: &'static str = "workspace, rows, sum, wrappings, audit_seq, audit_hash";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: optional_workspace(fields)?,
            rows: fields.count()?,
            sum: SetSum::from_bytes(&fields.array()?),
            wrappings: fields.count()?,
            audit_seq: fields.count()?,
            audit_hash: fields.array()?,
        })
    }
}

/// A key's URL, in the one spelling we write.
pub(super) fn location(fields: &mut Fields<'_>) -> Result<KeyLocation, StoreError> {
    let text = fields.text()?;
    location_of(text).ok_or_else(|| fields.forged())
}

/// As [`location`], of a text. `None`: it is no key's URL in the spelling we write.
pub(super) fn location_of(text: &str) -> Option<KeyLocation> {
    let location = KeyIdentifier::parse(text).ok()?.location;
    (location.to_string() == text).then_some(location)
}

/// A `kid`, in the one spelling we write.
fn version_location(fields: &mut Fields<'_>) -> Result<KeyVersionLocation, StoreError> {
    let text = fields.text()?;
    let location = KeyVersionLocation::parse(text).map_err(|_| fields.forged())?;
    if location.to_string() == text { Ok(location) } else { Err(fields.forged()) }
}

/// An event's details as they stand in a row: a JSON array of `[key, value]` pairs.
pub(super) fn details_text(details: &[(String, String)]) -> String {
    serde_json::to_string(details).expect("pairs of strings are always JSON")
}

fn details(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, StoreError> {
    let text = fields.text()?;
    let details: Vec<_> = serde_json::from_str(text).map_err(|_| fields.forged())?;
    if details_text(&details) == text { Ok(details) } else { Err(fields.forged()) }
}

/// A workspace, or the empty text that stands for the platform.
fn optional_workspace(fields: &mut Fields<'_>) -> Result<Option<WorkspaceId>, StoreError> {
    match fields.text()? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| fields.forged()),
    }
}
