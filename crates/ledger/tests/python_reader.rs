//! A verifier in Python, written from docs/ledger.md alone, agrees with ours: nobody has to believe our program.

mod support;

use std::path::Path;
use std::process::Command;

use domain::ledger::SignedCheckpoint;
use ledger::CheckpointJson;
use support::{Chain, cut_at_the_front, verify_after};

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
    let good_after = |after: u64, lines: &[String], kept: Option<&SignedCheckpoint>| {
        std::fs::write(dir.join("export"), lines.join("\n") + "\n").unwrap();
        let mut reads = Command::new(&python);
        reads.arg("-B").arg(&reader);
        if after > 0 {
            reads.args(["--after", &after.to_string()]);
        }
        reads.arg(dir.join("export"));
        if let Some(kept) = kept {
            std::fs::write(dir.join("kept"), serde_json::to_string(&CheckpointJson::from(kept)).unwrap()).unwrap();
            reads.arg(dir.join("kept"));
        }
        let ran = reads.output().unwrap();
        assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        let told = String::from_utf8_lossy(&ran.stdout);
        let ours = verify_after(after, lines, kept.cloned());
        assert_eq!(ran.status.success(), ours.is_good(), "they do not agree: {told}");
        if ours.is_good() {
            assert_eq!(told.contains("not looked at"), ours.after > 0, "{told}");
            assert_eq!(told.contains("could not write"), ours.behind, "{told}");
        }
        ran.status.success()
    };
    let good_to = |lines: &[String], kept: Option<&SignedCheckpoint>| good_after(0, lines, kept);
    let early = Chain::of(40).checkpoint();
    let good = |lines: &[String]| good_to(lines, Some(&early));
    assert!(good(&lines) && good_after(40, &chain.export_after(40), Some(&early)));
    // L-41: cut off at its front, and a part that was asked for.
    let front = cut_at_the_front(&lines, 30);
    assert!(!good_to(&front, None) && !good(&front) && !good_after(29, &front, None) && good_after(30, &front, None));
    assert!(good_after(40, &lines, None), "more than was asked for");
    assert!(good_after(50, &lines, None) && !good_after(51, &lines, None), "less than was asked for");
    let mut behind = lines.clone();
    let last = behind.pop().unwrap();
    behind.push(format!("{},\"behind\":true}}", last.strip_suffix('}').unwrap()));
    assert!(good(&behind));
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

    // A part that what was kept says nothing of, and a fork where there are no events.
    assert!(!good_after(41, &chain.export_after(41), Some(&early)));
    assert!(good_after(50, &chain.export_after(50), Some(&chain.checkpoint())));
    let mut fork = Chain::of(50);
    fork.events[49].actor = "bob".to_owned();
    fork.follow_through(49);
    assert!(!good_after(50, &fork.export_after(50), Some(&chain.checkpoint())));
    // Line ends of other alphabets are characters like any other.
    let mut lined = Chain::of(3);
    lined.push("app.upserted", vec![("app".to_owned(), "a\u{2028}b\u{85}c\u{b}d\re".to_owned())]);
    assert!(good_to(&lined.export(), None));
    // A member twice, and a time for people that is not the time.
    let mut doubled = lines.clone();
    doubled[25] = doubled[25].replacen("\"actor\"", "\"actor\":\"bob\",\"actor\"", 1);
    assert!(!good(&doubled));
    let mut timed = lines.clone();
    timed[25] = timed[25].replacen("\"time\":\"2023", "\"time\":\"2024", 1);
    assert_ne!(timed, lines);
    assert!(!good(&timed));
    // Checkpoints about what comes after them, and of two keys.
    for (signs, about) in [(1, 31), (2, 30)] {
        let mut strange = Chain::of(30);
        let head = ledger::export::hash(&strange.events[29].hash).unwrap();
        let details = Chain::new(signs).checkpoint_of(about, head).details();
        strange.push(SignedCheckpoint::EVENT, details.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
        assert!(!good_to(&strange.export(), None), "{signs}, {about}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}
