//! byokd
