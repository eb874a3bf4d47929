//! A Python of our own with pinned packages, and the second reader of the format that runs on it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    install,
    step::{Done, Session},
};
use crate::tool::{self, workspace_root};

/// Where the environment is, under cargo's target directory.
pub(crate) fn environment(session: &Session) -> PathBuf {
    session.target.join("python")
}

/// Makes the environment; later steps find its interpreter in the session.
pub(crate) fn set_up(session: &mut Session) -> Result<Done> {
    let ready =
        can_make_environments() || (install::system_packages(&["python3", "python3-venv"])? && can_make_environments());
    if !ready {
        return Ok(Done::left_out("python3 with its venv module is missing: install python3 and python3-venv"));
    }
    let folder = environment(session);
    let python = folder.join("bin/python");
    let requirements = workspace_root().join("tests/sdk/python/requirements.txt");
    install::once(&session.target.join("python.stamp"), &[&requirements], &python, || {
        tool::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        install_packages(&python, &requirements)
    })?;
    println!("{}: {}", python.display(), tool::output(Command::new(&python).arg("--version"))?.trim());
    session.python = Some(python);
    Ok(Done::Ran)
}

/// Installs exactly the versions a requirements file pins.
pub(crate) fn install_packages(python: &Path, requirements: &Path) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
    tool::run(command.arg(requirements))
}

/// The reader written from the format's specification alone opens every vector, and refuses those that must be refused.
pub(crate) fn read_vectors(session: &mut Session) -> Result<Done> {
    let Some(python) = &session.python else {
        return Ok(Done::left_out("the Python environment was not set up"));
    };
    let envelope = workspace_root().join("crates/envelope");
    let reader = envelope.join("reader/byok_reader.py");
    let vectors = envelope.join("vectors");
    let first = vectors.read_dir().with_context(|| format!("cannot read {}", vectors.display()))?.next();
    if first.is_none() {
        bail!("there are no vectors in {}", vectors.display());
    }
    tool::run(Command::new(python).arg(&reader).arg("--vectors").arg(vectors))?;
    // Its own tests: an export, a key in a file, and a vault over TLS.
    tool::run(Command::new(python).arg(reader.with_file_name("test_byok_reader.py"))).map(|()| Done::Ran)
}

fn can_make_environments() -> bool {
    // Debian ships venv without the part that brings pip in; only importing both tells.
    tool::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}
