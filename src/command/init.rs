//! `byokd platform-key init`: a new platform root. `serve` never makes one.

use std::io::Write;
use std::path::PathBuf;

use tokio::runtime::Runtime;

use crate::config::Config;
use crate::trouble::{Trouble, Troubles};
use crate::wire;

/// Where the new root's place is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitFrom {
    /// By a configuration, which also says whether a vault wraps it.
    Config(PathBuf),
    /// By its path; the root is kept in the file itself.
    File(PathBuf),
}

/// Creates a platform root; an existing file is never touched.
pub fn platform_key_init(from: InitFrom, out: &mut impl Write) -> Result<(), Troubles> {
    secmem::harden(secmem::MemoryLock::Preferred)?;
    let (root, file) = match from {
        InitFrom::File(file) => (wire::init_platform_file(&file)?, file),
        InitFrom::Config(path) => {
            let config = Config::read(&path)?;
            (runtime()?.block_on(wire::init_platform_root(&config))?, config.platform_key.file)
        }
    };
    let told = writeln!(
        out,
        "created {} with key {}\nback it up apart from the database: without it no row can be verified",
        file.display(),
        root.primary()
    );
    let _ = told;
    Ok(())
}

/// A runtime for a command that is done soon.
pub(super) fn runtime() -> Result<Runtime, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|cause| Trouble::new(format_args!("no event loop: {cause}"), "check the system's limits"))
}
