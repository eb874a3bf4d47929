//! What the `byokd` binary does for each of its commands.

mod check;
mod init;
mod serve;

pub use check::{config_check, store_check};
pub use init::{InitFrom, platform_key_init};
pub use serve::serve;
