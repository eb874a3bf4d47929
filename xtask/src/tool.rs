//! How other programs are run: cargo, python, npm. One place, so that each failure names the command.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The workspace this program was built from.
pub(crate) fn workspace_root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let metadata = Cargo::of_this_workspace().output(&["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target))
}

/// Cargo, run in the workspace.
pub(crate) struct Cargo {
    program: PathBuf,
    root: PathBuf,
}

impl Cargo {
    pub(crate) fn of_this_workspace() -> Self {
        let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        Self { program, root: workspace_root() }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.root);
        // What cargo set for this program is not meant for the next cargo.
        for (name, _) in std::env::vars_os() {
            let inherited =
                name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR");
            if inherited {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Result<String> {
        output(&mut self.command(args))
    }

    /// The platform this machine builds for, e.g. `x86_64-unknown-linux-gnu`.
    pub(crate) fn host(&self) -> Result<String> {
        let about = self.output(&["-vV"])?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned).context("`cargo -vV` names no host")
    }
}

/// Runs a command with our output streams; an exit other than 0 is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{shown} wrote something that is not UTF-8"))
}

/// Runs a command and returns its exit code, `None` when a signal ended it; what it says is dropped.
pub(crate) fn exit_code(command: &mut Command) -> Result<Option<i32>> {
    let shown = show(command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status().with_context(|| format!("cannot start {shown}"))?.code())
}

/// Whether a program answers `--version`.
pub(crate) fn is_there(program: impl AsRef<OsStr>) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

/// Whether a command can be started and exits with 0; what it says is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    exit_code(command).is_ok_and(|code| code == Some(0))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
