//! The platform root and the database under it: how a configuration's are made, opened, and taken for work on all of them.

use std::path::Path;
use std::time::Duration;

use store::Outside;
use store::sqlite::{Acceptance, Durability, Offline, SqliteOptions, SqliteStore};
use vault::platform::{PlatformRoot, RootRefused};
use vault::{CustomerKeys, KeyRef};

use super::azure::azure;
use crate::config::{Config, PlatformKey};
use crate::entropy::SystemEntropy;
use crate::trouble::{Trouble, Troubles};

/// How long the platform's own vault may take at the start.
const PLATFORM_VAULT: Duration = Duration::from_secs(30);

/// Creates the platform root that a configuration names.
pub async fn init_platform_root(config: &Config) -> Result<PlatformRoot, Trouble> {
    let PlatformKey { file, vault_key } = &config.platform_key;
    match vault_key {
        None => init_platform_file(file),
        Some(key) => {
            let at = KeyRef::of_platform(key.tenant.clone(), key.location.clone());
            let vault = azure(config)?;
            let made = PlatformRoot::init_wrapped(file, &vault, &at, &SystemEntropy, PLATFORM_VAULT).await;
            made.map_err(|refused| root_trouble(file, &refused))
        }
    }
}

/// Creates a platform root that is kept in the file itself.
pub fn init_platform_file(file: &Path) -> Result<PlatformRoot, Trouble> {
    PlatformRoot::init_file(file, &SystemEntropy).map_err(|refused| root_trouble(file, &refused))
}

/// Opens the database a configuration names as it is: none is created.
pub async fn open_database(config: &Config) -> Result<SqliteStore, Troubles> {
    let platform = match &config.platform_key.vault_key {
        None => platform_file(&config.platform_key.file)?,
        Some(_) => platform_root(&config.platform_key, &azure(config)?).await?,
    };
    Ok(SqliteStore::open_anchored(sqlite(&config.database, &platform), &outside(&config.head(), &platform))?)
}

/// Opens the platform root a configuration names.
pub async fn open_platform_root(config: &Config) -> Result<PlatformRoot, Trouble> {
    match &config.platform_key.vault_key {
        None => platform_file(&config.platform_key.file),
        Some(_) => platform_root(&config.platform_key, &azure(config)?).await,
    }
}

/// Takes the database a configuration names for work on all of its rows: nobody serves from it meanwhile.
pub fn take_database(config: &Config, platform: &PlatformRoot) -> Result<Offline, Trouble> {
    Ok(Offline::open(&sqlite(&config.database, platform), &outside(&config.head(), platform))?)
}

/// Looks at a database that does not stand where its head says.
pub fn look_at_database(config: &Config, platform: &PlatformRoot) -> Result<Acceptance, Trouble> {
    Ok(Acceptance::look(&sqlite(&config.database, platform), &outside(&config.head(), platform))?)
}

/// Adds a key to the platform root that a configuration names.
pub async fn add_platform_key(config: &Config) -> Result<domain::PlatformKeyId, Trouble> {
    let PlatformKey { file, vault_key } = &config.platform_key;
    let added = match vault_key {
        None => PlatformRoot::add_key(file, &SystemEntropy),
        Some(key) => {
            let at = KeyRef::of_platform(key.tenant.clone(), key.location.clone());
            let vault = azure(config)?;
            PlatformRoot::add_key_wrapped(file, &vault, &at, &SystemEntropy, PLATFORM_VAULT).await
        }
    };
    added.map_err(|refused| root_trouble(file, &refused))
}

/// What stands outside of a database under this root.
pub(crate) fn outside(head: &Path, platform: &PlatformRoot) -> Outside {
    Outside { head: head.to_owned(), seal: platform.head_seal(), root_checks: platform.check_values() }
}

/// One volume that is restored, copied or rolled back as a whole takes the head along with the database.
pub(super) fn warn_of_a_shared_volume(config: &Config) {
    use std::os::unix::fs::MetadataExt as _;
    let volume = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        parent.metadata().map(|found| found.dev()).ok()
    };
    let head = config.head();
    if volume(&head) == volume(&config.database) {
        tracing::warn!(
            head = %head.display(),
            "the database's head is on the database's own volume: whoever puts back all of it is not noticed; name a directory on \
             another one as state_dir"
        );
    }
}

pub(super) fn sqlite(path: &Path, platform: &PlatformRoot) -> SqliteOptions {
    SqliteOptions {
        path: path.to_owned(),
        row_seal: platform.row_seal(),
        root_check: platform.check_value(),
        cluster: platform.cluster_id(),
        durability: Durability::Full,
    }
}

pub(super) async fn platform_root(config: &PlatformKey, vault: &dyn CustomerKeys) -> Result<PlatformRoot, Trouble> {
    match &config.vault_key {
        None => platform_file(&config.file),
        Some(key) => {
            let at = KeyRef::of_platform(key.tenant.clone(), key.location.clone());
            let opened = PlatformRoot::open_wrapped(&config.file, vault, &at, PLATFORM_VAULT).await;
            opened.map_err(|refused| root_trouble(&config.file, &refused))
        }
    }
}

fn platform_file(file: &Path) -> Result<PlatformRoot, Trouble> {
    PlatformRoot::open_file(file).map_err(|refused| root_trouble(file, &refused))
}

pub(crate) fn root_trouble(file: &Path, refused: &RootRefused) -> Trouble {
    let cause = std::error::Error::source(refused).map_or_else(String::new, |cause| format!(": {cause}"));
    Trouble::new(format_args!("{}: {refused}{cause}", file.display()), refused.remedy())
}
