//! Where else a secret might be: the command line, the environment, the log, the database and whatever else was written; and
//! what the process promised at its start.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::kind::Kind;
use super::wanted::{Finder, Wanted};

/// Files that hold their secret on purpose.
const MEANT: [&str; 7] =
    ["token", "second-token", "webhook-secret", "platform.key", "client-secret", "listener.key", "webhook.key"];

/// What else was shown by the daemon, by a name: answers, figures.
pub(crate) type Shown = Vec<(String, Vec<u8>)>;

/// Searches everything the daemon shows or wrote. Says how many files and answers there were.
pub(crate) fn check(pid: u32, wanted: &Wanted, written: &[&Path], shown: &Shown) -> Result<usize> {
    let mut search = Search { found: Vec::new(), files: 0, finder: wanted.finder()?, wanted };
    for name in ["cmdline", "environ"] {
        search.bytes(name, &fs::read(format!("/proc/{pid}/{name}"))?);
    }
    for (name, bytes) in shown {
        search.bytes(name, bytes);
    }
    for path in written {
        // One that is not there would be searched without a finding.
        ensure!(path.exists(), "{} was not written", path.display());
        search.path(path)?;
    }
    let Search { mut found, files, .. } = search;
    found.sort();
    found.dedup();
    ensure!(found.is_empty(), "secrets in what is written or shown: {found:?}");
    ensure!(wanted.count(Kind::Plaintext).0 > 0, "nothing was searched for");
    Ok(files)
}

struct Search<'a> {
    found: Vec<String>,
    files: usize,
    finder: Finder<'a>,
    wanted: &'a Wanted,
}

impl Search<'_> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.files += 1;
        let (found, wanted) = (&mut self.found, self.wanted);
        self.finder.find(bytes, |_, needle| {
            found.push(format!("{name}: {} ({}), {}", needle.kind.name(), wanted.label(needle.secret), needle.form));
        });
    }

    fn path(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                self.path(&entry?.path())?;
            }
        } else if path.is_file() && !MEANT.iter().any(|name| path.ends_with(name)) {
            self.bytes(&path.display().to_string(), &fs::read(path)?);
        }
        Ok(())
    }
}

/// No core file is written of this process, by the limit and by what the kernel knows of it.
pub(crate) fn no_core_file(pid: u32) -> Result<()> {
    forbid_core_files(&fs::read_to_string(format!("/proc/{pid}/limits"))?)
}

fn forbid_core_files(limits: &str) -> Result<()> {
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).context("no limit on core files")?;
    let values: Vec<&str> = limit.split_whitespace().skip(4).take(2).collect();
    ensure!(values == ["0", "0"], "core files are allowed: {limit}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    const CANARY: &str = "canary-in-a-log-0001-6f1d93e07b52c8a4";

    /// A canary that is logged is found, as it is or encoded, in a file, in a folder and in an answer; a file that holds its secret
    /// on purpose is passed over, and one that is missing is told.
    #[test]
    fn a_canary_that_was_logged_is_found() {
        let mut wanted = Wanted::default();
        wanted.value(Kind::Plaintext, "message", CANARY.as_bytes());
        let directory = tempfile::tempdir().unwrap();
        let (log, data) = (directory.path().join("byokd.log"), directory.path().join("data"));
        fs::create_dir(&data).unwrap();
        fs::write(&log, "INFO sealed 37 bytes").unwrap();
        fs::write(data.join("token"), CANARY).unwrap();
        let check = |shown: &[u8]| {
            let shown = vec![("an answer".to_owned(), shown.to_vec())];
            check(std::process::id(), &wanted, &[&log, &data], &shown).map_err(|error| error.to_string())
        };
        assert_eq!(check(b"no such app"), Ok(4));
        let encoded = STANDARD_NO_PAD.encode(format!("x{CANARY}x"));
        for spelled in [CANARY, &hex::encode(CANARY), &encoded] {
            let line = format!("INFO encrypt{{context=\"{spelled}\"}}");
            assert!(check(line.as_bytes()).unwrap_err().contains("an answer: plaintexts"), "{line}");
            for file in [log.clone(), data.join("trace")] {
                let before = fs::read(&file).unwrap_or_default();
                fs::write(&file, &line).unwrap();
                assert!(check(b"").unwrap_err().contains("plaintexts (message)"), "{line}");
                fs::write(&file, before).unwrap();
            }
        }
        fs::remove_file(&log).unwrap();
        assert!(check(b"").unwrap_err().contains("was not written"));
    }

    /// A process that may leave a core file is told, whichever of its limits allows it.
    #[test]
    fn a_core_file_that_may_be_written_is_told() {
        let limits = |soft: &str, hard: &str| {
            format!("Limit  Soft  Hard  Units\nMax core file size        {soft}        {hard}        bytes\n")
        };
        assert!(forbid_core_files(&limits("0", "0")).is_ok());
        for (soft, hard) in [("unlimited", "unlimited"), ("0", "unlimited"), ("4096", "4096")] {
            assert!(forbid_core_files(&limits(soft, hard)).is_err());
        }
        assert!(forbid_core_files("Limit").is_err());
    }
}
