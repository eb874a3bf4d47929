//! What the `byokd` binary does for each of its commands.

mod accept;
mod check;
mod init;
mod platform_key;
mod serve;

pub use accept::{Accept, store_accept};
pub use check::{config_check, store_check};
pub use init::{InitFrom, platform_key_init};
pub use platform_key::{
    platform_key_add, platform_key_list, platform_key_promote, platform_key_remove, platform_key_reseal,
};
pub use serve::serve;
