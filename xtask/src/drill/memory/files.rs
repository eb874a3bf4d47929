//! Where else a secret might be: the command line, the environment, the log, the database and whatever else was written; and
//! what the process promised at its start.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::wanted::{Kind, Wanted};

/// Files that hold their secret on purpose.
const MEANT: [&str; 7] =
    ["token", "second-token", "webhook-secret", "platform.key", "client-secret", "listener.key", "webhook.key"];

/// Searches everything the daemon shows or wrote. Says how many files there were.
pub(crate) fn check(pid: u32, wanted: &Wanted, written: &[&Path]) -> Result<usize> {
    let finder = wanted.finder()?;
    let mut found = Vec::new();
    let mut files = 0;
    let mut search = |name: String, bytes: &[u8]| {
        files += 1;
        finder.find(bytes, |_, needle| {
            found.push(format!("{name}: {} ({}), {}", needle.kind.name(), wanted.label(needle.secret), needle.form));
        });
    };
    for name in ["cmdline", "environ"] {
        search(name.to_owned(), &fs::read(format!("/proc/{pid}/{name}"))?);
    }
    let mut waiting: Vec<_> = written.iter().map(|path| path.to_path_buf()).collect();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        } else if path.is_file() && !MEANT.iter().any(|name| path.ends_with(name)) {
            search(path.display().to_string(), &fs::read(&path)?);
        }
    }
    found.sort();
    found.dedup();
    ensure!(found.is_empty(), "secrets in files: {found:?}");
    ensure!(wanted.count(Kind::Plaintext).0 > 0, "nothing was searched for");
    Ok(files)
}

/// No core file is written of this process, by the limit and by what the kernel knows of it.
pub(crate) fn no_core_file(pid: u32) -> Result<()> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).context("no limit on core files")?;
    let values: Vec<&str> = limit.split_whitespace().skip(4).take(2).collect();
    ensure!(values == ["0", "0"], "core files are allowed: {limit}");
    Ok(())
}
