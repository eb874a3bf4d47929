//! What a power loss leaves on the disk: what was synced, and any part of what was not.

use std::path::Path;

use anyhow::{Context, Result};

use super::seed::Seed;

/// The unit a disk writes whole. A write of several may be torn between them.
const SECTOR: usize = 512;

/// The shim, compiled once a run with the C compiler that the README asks for.
pub(crate) fn build_shim(into: &Path) -> Result<()> {
    let source = crate::tool::workspace_root().join("xtask/power_loss/unsynced.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = std::process::Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(into).arg(source);
    command.args(["-ldl", "-lpthread"]);
    crate::tool::run(&mut command)
}

/// Before the daemon starts: everything on the disk counts as synced.
pub(crate) fn begin(files: &Path, images: &Path) -> Result<()> {
    if images.exists() {
        std::fs::remove_dir_all(images)?;
    }
    std::fs::create_dir_all(images)?;
    for name in names(files)? {
        std::fs::copy(files.join(&name), images.join(&name))?;
    }
    Ok(())
}

/// After it died: replaces `files` by what the power loss left. For each file the seed chooses that all unsynced writes are
/// lost, or that any subset of their sectors had reached the disk. Returns how many unsynced sectors there were.
pub(crate) fn lose_power(files: &Path, images: &Path, seed: &mut Seed) -> Result<u64> {
    let mut unsynced = 0;
    for name in names(files)? {
        let file = files.join(&name);
        let image = images.join(&name);
        if !image.exists() {
            unsynced += std::fs::metadata(&file)?.len().div_ceil(SECTOR as u64);
            std::fs::remove_file(&file)?; // never synced, so nobody may count on it
            continue;
        }
        let written = std::fs::read(&file)?;
        let mut left = std::fs::read(&image)?;
        let survivors = seed.below(3); // 0: none, 1: one in eight, 2: half
        for (number, sector) in written.chunks(SECTOR).enumerate() {
            let at = number * SECTOR;
            let same = left.get(at..at + sector.len()) == Some(sector);
            if same {
                continue;
            }
            unsynced += 1;
            let survives = match survivors {
                0 => false,
                1 => seed.below(8) == 0,
                _ => seed.below(2) == 0,
            };
            if survives {
                left.resize(left.len().max(at + sector.len()), 0);
                left[at..at + sector.len()].copy_from_slice(sector);
            }
        }
        let mode = std::fs::metadata(&file)?.permissions();
        std::fs::write(&file, &left).with_context(|| format!("cannot write {}", file.display()))?;
        std::fs::set_permissions(&file, mode)?;
    }
    Ok(unsynced)
}

/// The regular files of a directory that are storage: shared memory of the database (`-shm`) is not.
fn names(directory: &Path) -> Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !entry.file_name().to_string_lossy().ends_with("-shm") {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was synced always survives, what was not may or may not, and a file that was never synced is gone.
    #[test]
    fn a_power_loss_keeps_what_was_synced() {
        let directory = tempfile::tempdir().unwrap();
        let (files, images) = (directory.path().join("files"), directory.path().join("images"));
        for seed in 0..64 {
            std::fs::create_dir_all(&files).unwrap();
            std::fs::write(files.join("db"), vec![1; 4 * SECTOR]).unwrap();
            begin(&files, &images).unwrap();
            let mut after = vec![1; 2 * SECTOR];
            after.extend(vec![2; 4 * SECTOR]);
            std::fs::write(files.join("db"), &after).unwrap();
            std::fs::write(files.join("new"), b"never synced").unwrap();
            let unsynced = lose_power(&files, &images, &mut Seed::new(seed)).unwrap();
            let left = std::fs::read(files.join("db")).unwrap();
            assert_eq!(unsynced, 5);
            assert!(left[..2 * SECTOR].iter().all(|b| *b == 1), "seed {seed}: synced bytes changed");
            assert!(left.len() >= 4 * SECTOR);
            assert!(!files.join("new").exists());
        }
    }
}
