//! Does Azure's own SDK, which we did not write, take the emulator for Azure?

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use super::step::{Done, Session};
use crate::tool::{self, workspace_root};

/// An emulator with this fault switched on must be found out, or the checks check nothing.
const FAULT: &str = r#"{"answer": "wrong_plaintext"}"#;
/// What the checks exit with when one failed; other codes say that they could not run.
const A_CHECK_FAILED: i32 = 1;

/// The SDK for Python.
pub(crate) fn python(session: &mut Session) -> Result<Done> {
    match session.python.clone() {
        Some(python) => check(session, &python, "python/check_emulator.py"),
        None => Ok(Done::left_out("the Python environment was not set up")),
    }
}

/// The SDK for JavaScript.
pub(crate) fn javascript(session: &mut Session) -> Result<Done> {
    match session.node.clone() {
        Some(node) => check(session, &node, "javascript/check_emulator.mjs"),
        None => Ok(Done::left_out("Node.js and the packages were not set up")),
    }
}

fn check(session: &Session, interpreter: &Path, script: &str) -> Result<Done> {
    let emulator = session.binaries()?.join("azure-emulator");
    let command = || {
        let mut command = Command::new(interpreter);
        command.arg(workspace_root().join("tests/sdk").join(script)).arg("--emulator-binary").arg(&emulator);
        command
    };
    tool::run(&mut command())?;
    println!("and with a fault put in: {FAULT}");
    match tool::exit_code(command().args(["--fault", FAULT]))? {
        Some(A_CHECK_FAILED) => Ok(Done::Ran),
        Some(0) => bail!("{script} passes with {FAULT} put in: it checks nothing"),
        code => bail!("{script} could not run with {FAULT} put in ({code:?})"),
    }
}
