//! `byokd config check` and `byokd store check`: what is wrong, without serving.

use std::io::Write;
use std::path::Path;

use store::Store;

use super::init::runtime;
use crate::config::Config;
use crate::trouble::Troubles;
use crate::wire;

/// Reports every fault of a configuration and of the files it names, at once.
pub fn config_check(path: &Path, out: &mut impl Write) -> Result<(), Troubles> {
    let config = Config::read(path)?;
    let found = wire::check_files(&config);
    if !found.is_empty() {
        return Err(Troubles(found));
    }
    // Nobody reading is no fault of the configuration.
    let _ = writeln!(out, "{} is in order", path.display());
    Ok(())
}

/// Verifies the whole database of a daemon that is not running: every row's code, every set, every audit chain.
pub fn store_check(path: &Path, out: &mut impl Write) -> Result<(), Troubles> {
    let config = Config::read(path)?;
    secmem::harden(config.memory_lock)?;
    let verified = runtime()?.block_on(async {
        let database = wire::open_database(&config).await?;
        Ok::<_, Troubles>(database.verify().await?)
    })?;
    let _ = writeln!(
        out,
        "{} is in order: {} rows and {} audit events verified",
        config.database.display(),
        verified.rows,
        verified.events
    );
    Ok(())
}
