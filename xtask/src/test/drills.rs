//! The drills in their reduced form: enough rounds to notice a fault on every change, far fewer than the full runs.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::Result;

use super::{
    install,
    step::{Done, Session},
};
use crate::tool;

/// Killed fifty times under load, no acknowledged ciphertext is lost.
pub(crate) fn kill(session: &mut Session) -> Result<Done> {
    drill(session, &["kill", "--rounds", "50"])
}

/// Nor when what was not synced is gone; and without syncing the same drill finds losses.
pub(crate) fn power_loss(session: &mut Session) -> Result<Done> {
    drill(session, &["power-loss", "--rounds", "20"])?;
    println!("and with syncing switched off: losses must be found");
    drill(session, &["power-loss", "--rounds", "20", "--seeded-bug"])
}

/// A key that was taken back is not served for longer than promised, whatever goes wrong meanwhile.
pub(crate) fn revoke(session: &mut Session) -> Result<Done> {
    let mut command = Command::new(session.binaries()?.join("xtask"));
    tool::run(command.args(["drill", "revoke", "--seeds", "500"])).map(|()| Done::Ran)
}

/// Three hundred runs of three replicas that keep an enforcement date, and every seeded bug.
pub(crate) fn enforce(session: &mut Session) -> Result<Done> {
    let mut command = Command::new(session.binaries()?.join("xtask"));
    tool::run(command.args(["drill", "enforce", "--seeds", "300"])).map(|()| Done::Ran)
}

/// A rotation killed three times ends, and loses nothing.
pub(crate) fn rotate(session: &mut Session) -> Result<Done> {
    drill(session, &["rotate", "--data-keys", "150", "--rounds", "3", "--simulated", "0"])
}

/// No data key outside locked pages after any kind of call; and a process that leaks on purpose is caught.
pub(crate) fn memory(session: &mut Session) -> Result<Done> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        return Ok(Done::left_out("only root can read the memory of a process that is not dumpable: run this as root"));
    }
    if !tool::is_there("gdb") {
        install::system_packages(&["gdb"])?;
    }
    if !tool::is_there("gdb") {
        return Ok(Done::left_out("gdb is missing, whose gcore makes core images: install gdb"));
    }
    drill(session, &["memory", "--reduced"])
}

fn drill(session: &Session, args: &[&str]) -> Result<Done> {
    let binaries = session.binaries()?;
    let mut command = Command::new(binaries.join("xtask"));
    command.arg("drill").args(args).arg("--binaries").arg(&binaries);
    tool::run(&mut command).map(|()| Done::Ran)
}
