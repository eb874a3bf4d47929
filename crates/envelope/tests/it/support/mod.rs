//! What the tests of the envelope share, and the generator of its frozen vectors.

pub(crate) mod collision;
pub(crate) mod frozen;
pub(crate) mod implementation;
pub(crate) mod oracle;
pub(crate) mod promises;
pub(crate) mod random;
pub(crate) mod vector_files;
