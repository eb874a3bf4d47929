//! Which files there are in a directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Every regular file below `directory`, in the order of their names. Links are not followed: what they lead to is found where it
/// is, or was not meant. What an interrupted run left behind (`.NAME….partial`) is no file of anybody's.
pub(crate) fn below(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        let unreadable = |error: io::Error| {
            Failure::caller(format!("{} cannot be read: {error}", directory.display()))
                .hint("check the directory's name and permissions")
        };
        for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && !is_partial(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_partial(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".partial")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of every depth is found once and in order; links, and what a killed run left, are not.
    #[test]
    fn every_file_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for name in ["z", "a", "b/c/deep", "b/.hidden", ".z1234.partial"] {
            std::fs::write(path(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), path("b/loop")).unwrap();
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        assert_eq!(below(dir.path()).unwrap(), ["a", "b/.hidden", "b/c/deep", "z"].map(path));
        assert!(below(&path("nowhere")).is_err());
    }
}
