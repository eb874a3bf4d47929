//! The table of errors that people read is the one the program answers from.

/// `docs/errors.md` is what the program says. After a change of reasons, run this test with `BYOKD_WRITE_DOCS=1`.
#[test]
fn the_table_of_errors_is_the_programs_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
    let table = byokd::grpc::status::table();
    if std::env::var_os("BYOKD_WRITE_DOCS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), table, "docs/errors.md is out of date");
}
