//! What people read is what the program says: the table of errors, and the page of settings.

use std::collections::BTreeSet;
use std::path::Path;

use byokd::config::{Config, ConfigRefused, Fault};

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

/// The file that `docs/configuration.md` shows.
fn documented() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, sample) = page.split_once("```toml\n").expect("the page shows a file");
    sample.split_once("```").expect("the file ends").0.to_owned()
}

fn read(text: &str) -> Result<Config, ConfigRefused> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("byokd.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(Path::new(&path))
}

/// The keys that the program knows and a file does not show in their table, not even in a comment (as `key = `).
///
/// Asked of the program itself: a key that no table has is put into each of them, and what it says is known there counts.
fn not_shown(sample: &str) -> BTreeSet<String> {
    const STRANGER: &str = "no_such_key = 1\n";
    let mut asked = STRANGER.to_owned();
    let (mut table, mut texts) = (String::new(), Vec::<(String, String)>::new());
    let mut text = String::new();
    for line in sample.lines() {
        asked.push_str(line);
        asked.push('\n');
        if let Some(header) = line.strip_prefix('[') {
            texts.push((std::mem::take(&mut table), std::mem::take(&mut text)));
            table = header.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            asked.push_str(STRANGER);
        }
        text.push_str(line);
        text.push('\n');
    }
    texts.push((table, text));
    let Err(ConfigRefused::Faults { mut faults, .. }) = read(&asked) else { panic!("the stranger was taken") };
    faults.retain(|fault| fault.key.ends_with("no_such_key"));
    assert_eq!(faults.len(), texts.len(), "each table has one stranger: {faults:#?}");

    let known = |fault: &Fault| fault.hint.strip_prefix("known here: ").expect("what is known there").to_owned();
    let mut missing = BTreeSet::new();
    for fault in &faults {
        let place: String = fault.key.chars().filter(|c| !"0123456789[]".contains(*c)).collect();
        let place = place.strip_suffix("no_such_key").expect("a stranger").trim_end_matches('.').to_owned();
        let here: String = texts.iter().filter(|(table, _)| *table == place).map(|(_, text)| text.as_str()).collect();
        for key in known(fault).split(", ") {
            let below = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
            let is_table = texts.iter().any(|(table, _)| *table == below);
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let assigned = format!("{key} = ");
            let is_shown = here.match_indices(&assigned).any(|(at, _)| !here[..at].ends_with(is_word));
            if !is_table && !is_shown {
                missing.insert(below);
            }
        }
    }
    missing
}

/// Whoever copies the file from the page has one that the program reads.
#[test]
fn the_documented_configuration_is_read() {
    let read = read(&documented());
    let faults = read.err().map(|refused| refused.lines());
    assert_eq!(faults, None);
}

/// The page says that it is every table and key. Seeded bug: without one of its lines the check names the key.
#[test]
fn every_setting_is_documented() {
    let sample = documented();
    assert_eq!(not_shown(&sample), BTreeSet::new());

    for (line, key) in [
        ("expires = ", "callers.expires"),
        ("client_authorities = ", "listen.client_authorities"),
        ("never = ", "vaults.never"),
        ("require_sign_in = ", "entra.require_sign_in"),
        ("state_dir = ", "state_dir"),
    ] {
        let without: String =
            sample.lines().filter(|text| !text.contains(line)).map(|line| format!("{line}\n")).collect();
        assert!(not_shown(&without).contains(key), "{key} was not missed");
    }
}
