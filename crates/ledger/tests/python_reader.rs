//! A verifier in Python, written from docs/ledger.md alone, agrees with ours: nobody has to believe our program.

mod support;

use std::path::Path;
use std::process::Command;

use support::Chain;

/// What is good is good to both, and what is not to neither.
///
/// Needs Python 3.9 or newer with `cryptography`. `BYOKD_PYTHON` names the interpreter; then it must have it.
#[test]
fn the_python_verifier_agrees() {
    let named = std::env::var_os("BYOKD_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let usable = Command::new(&python).args(["-c", "import cryptography"]).output();
    if !usable.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(named.is_none(), "BYOKD_PYTHON={python:?} is not a Python with the package cryptography: {usable:?}");
        eprintln!("left out: no python3 with the package cryptography; name one in BYOKD_PYTHON");
        return;
    }
    let dir = std::env::temp_dir().join(format!("byokd-ledger-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/verify_ledger.py");
    let chain = Chain::of(50);
    let lines = chain.export();
    let kept = serde_json::to_string(&ledger::CheckpointJson::from(&Chain::of(40).checkpoint())).unwrap();
    std::fs::write(dir.join("kept"), kept).unwrap();
    let good = |lines: &[String]| {
        std::fs::write(dir.join("export"), lines.join("\n") + "\n").unwrap();
        let ran = Command::new(&python).arg("-B").arg(&reader).args([dir.join("export"), dir.join("kept")]).output();
        let ran = ran.unwrap();
        assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.status.success()
    };
    assert!(good(&lines) && good(&chain.export_after(40)));
    for at in [1, 25, 40, 50] {
        let mut changed = lines.clone();
        changed[at] = changed[at].replace("\"ann\"", "\"bob\"");
        let mut dropped = lines.clone();
        dropped.remove(at);
        let mut swapped = lines.clone();
        swapped.swap(at, at % 50 + 1);
        for (n, bad) in [changed, dropped, swapped, lines[..at].to_vec()].iter().enumerate() {
            assert!(!good(bad), "{at}, {n}");
        }
    }
    let mut rewritten = Chain::of(50);
    rewritten.events[10].actor = "bob".to_owned();
    rewritten.follow_through(10);
    assert!(!good(&rewritten.export()));
    std::fs::remove_dir_all(dir).unwrap();
}
