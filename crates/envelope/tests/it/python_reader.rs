//! The reader in Python, written from FORMAT.md alone, agrees with us: leaving is possible without us.

use std::path::Path;
use std::process::Command;

/// Every vector opens or is refused as it says, a stream opens with a customer's own RSA key, and with keys that a
/// vault unwraps over TLS.
///
/// Needs Python 3.9 or newer with `cryptography`. `BYOKD_PYTHON` names the interpreter; then it must have it.
#[test]
fn the_python_reader_opens_what_it_should_and_refuses_what_it_should() {
    let named = std::env::var_os("BYOKD_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let usable = Command::new(&python).args(["-c", "import cryptography"]).output();
    if !usable.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(named.is_none(), "BYOKD_PYTHON={python:?} is not a Python with the package cryptography: {usable:?}");
        eprintln!("left out: no python3 with the package cryptography; name one in BYOKD_PYTHON");
        return;
    }
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader");
    let output = Command::new(&python).arg("-B").arg(reader.join("test_byok_reader.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Short enough that somebody in a hurry to leave can read all of it.
#[test]
fn the_python_reader_has_at_most_200_lines() {
    let reader = include_str!("../../reader/byok_reader.py");
    assert!(reader.lines().count() <= 200, "{}", reader.lines().count());
    assert!(reader.lines().all(|line| line.len() <= 120));
}
