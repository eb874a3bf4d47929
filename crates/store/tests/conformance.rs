//! SQLite keeps every promise of the conformance suite.

mod fixture;

store::conformance_suite!(fixture::SqliteFile::new());
