//! A Node.js that is new enough, with the packages of tests/sdk/javascript as its lock file pins them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    install, python,
    step::{Done, Session},
};
use crate::tool::{self, workspace_root};

/// What the SDK's packages ask for.
const OLDEST_NODE: u32 = 20;

/// Installs the packages; later steps find the interpreter in the session.
pub(crate) fn set_up(session: &mut Session) -> Result<Done> {
    let Some(bin) = a_node(session)? else {
        return Ok(Done::left_out(format!(
            "Node.js {OLDEST_NODE} or newer with npm is missing, and without the Python environment it is not fetched"
        )));
    };
    let folder = workspace_root().join("tests/sdk/javascript");
    let [list, lock] = ["package.json", "package-lock.json"].map(|name| folder.join(name));
    let modules = folder.join("node_modules");
    install::once(&session.target.join("javascript.stamp"), &[&list, &lock], &modules, || {
        let mut npm = Command::new(bin.join("npm"));
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
        tool::run(npm.env("PATH", path_starting_with(&bin)?))
    })?;
    let node = bin.join("node");
    println!("{}: {}", node.display(), tool::output(Command::new(&node).arg("--version"))?.trim());
    session.node = Some(node);
    Ok(Done::Ran)
}

/// The folder with `node` and `npm`: the machine's, else one that comes as a Python wheel (Debian's may be too old).
fn a_node(session: &Session) -> Result<Option<PathBuf>> {
    if let Some(bin) = on_path() {
        return Ok(Some(bin));
    }
    let Some(python) = &session.python else { return Ok(None) };
    let requirements = workspace_root().join("tests/sdk/python/requirements-node.txt");
    let bin = python::environment(session).join("bin");
    install::once(&session.target.join("node.stamp"), &[&requirements], &bin.join("node"), || {
        python::install_packages(python, &requirements)
    })?;
    Ok(is_new_enough(&bin).then_some(bin))
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find(|folder| is_new_enough(folder))
}

fn is_new_enough(bin: &Path) -> bool {
    let version = tool::output(Command::new(bin.join("node")).arg("--version")).unwrap_or_default();
    major(&version).is_some_and(|major| major >= OLDEST_NODE) && fs::exists(bin.join("npm")).unwrap_or(false)
}

/// 20 of "v20.20.2".
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn path_starting_with(bin: &Path) -> Result<std::ffi::OsString> {
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(bin.to_path_buf()).chain(env::split_paths(&rest));
    env::join_paths(folders).context("PATH cannot be extended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_node_says() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v8.1.0"), Some(8));
        assert_eq!(major(""), None);
        assert_eq!(major("command not found"), None);
    }
}
