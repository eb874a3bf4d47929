//! What goes on without anybody asking: loops that the daemon runs, and that a test runs a turn of.

pub(crate) mod new_versions;
pub(crate) mod rotation;
