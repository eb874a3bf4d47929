//! How missing system packages are installed where this runs as root, and that something is only installed once.

use std::{fs, hash::Hasher, os::unix::fs::MetadataExt, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::tool;

/// Installs Debian packages; `Ok(false)` when this is not root or not Debian, so that the caller can name what is missing.
pub(crate) fn system_packages(packages: &[&str]) -> Result<bool> {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root || !tool::is_there("apt-get") {
        return Ok(false);
    }
    println!("installing {}", packages.join(", "));
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-o", "Acquire::Retries=3"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
        tool::run(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    Ok(true)
}

/// Runs `install` unless it already succeeded for exactly these `inputs` and `result` is still there.
pub(crate) fn once(stamp: &Path, inputs: &[&Path], result: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut hasher = std::hash::DefaultHasher::new();
    for input in inputs {
        hasher.write(&fs::read(input).with_context(|| format!("cannot read {}", input.display()))?);
    }
    let wanted = format!("{:016x}", hasher.finish());
    if result.exists() && fs::read_to_string(stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn installing_happens_again_only_when_its_inputs_change_or_its_result_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let [stamp, list, result] = ["stamp", "list", "result"].map(|name| folder.path().join(name));
        let installed = Cell::new(0);
        let install = || {
            once(&stamp, &[&list], &result, || {
                installed.set(installed.get() + 1);
                Ok(fs::write(&result, "")?)
            })
            .unwrap();
            installed.get()
        };
        fs::write(&list, "a==1").unwrap();
        assert_eq!((install(), install()), (1, 1));
        fs::write(&list, "a==2").unwrap();
        assert_eq!((install(), install()), (2, 2));
        fs::remove_file(&result).unwrap();
        assert_eq!(install(), 3);
    }

    #[test]
    fn a_failed_installation_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let [stamp, list] = ["stamp", "list"].map(|name| folder.path().join(name));
        fs::write(&list, "").unwrap();
        assert!(once(&stamp, &[&list], &list, || anyhow::bail!("no network")).is_err());
        let again = Cell::new(false);
        let install = || {
            again.set(true);
            Ok(())
        };
        once(&stamp, &[&list], &list, install).unwrap();
        assert!(again.get());
    }
}
