//! The built programs, and what came of running them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::site::{Site, TOKEN};

/// `byokctl`, from the same build.
pub(crate) fn byokctl_path() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_byokd")).with_file_name("byokctl");
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build -p byokctl` (`cargo test --workspace` does)",
        path.display()
    );
    path
}

/// How a program ended.
pub(crate) struct Ended {
    /// `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// One `error:`, one `hint:`, and this exit code.
    #[track_caller]
    pub(crate) fn bad(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            matches!(lines[..], [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ")),
            "not one error and one hint:\n{}",
            self.stderr
        );
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

/// `byokctl` against one daemon.
#[derive(Clone)]
pub(crate) struct Byokctl {
    server: String,
    token: String,
}

impl Byokctl {
    pub(crate) fn at(server: &str, token: &str) -> Self {
        byokctl_path();
        Self { server: server.into(), token: token.into() }
    }

    pub(crate) fn of(site: &Site) -> Self {
        Self::at(&format!("unix:{}", site.socket().display()), TOKEN)
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(byokctl_path());
        command.env("BYOKCTL_SERVER", &self.server).env("BYOKCTL_TOKEN", &self.token).env_remove("BYOKCTL_CA");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts it with open pipes.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        self.feed(args, &[]).await
    }

    /// Runs it with this on standard input.
    pub(crate) async fn feed(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child = self.spawn(args);
        let mut stdin = child.stdin.take().unwrap();
        let write = async {
            // It may refuse, and close its end, before all was written.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let ((), ended) = tokio::join!(write, ended(child));
        ended
    }
}

/// Waits for the end, reading what is written meanwhile.
pub(crate) async fn ended(mut child: Child) -> Ended {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read_out = async {
        let mut bytes = Vec::new();
        if let Some(mut out) = out {
            out.read_to_end(&mut bytes).await.unwrap();
        }
        bytes
    };
    let read_err = async {
        let mut text = String::new();
        if let Some(mut err) = err {
            err.read_to_string(&mut text).await.unwrap();
        }
        text
    };
    let (stdout, stderr, status) = tokio::join!(read_out, read_err, child.wait());
    Ended { code: status.unwrap().code(), stdout, stderr }
}

/// A running `byokd dev` that serves.
pub(crate) struct Dev {
    child: Child,
    /// What it printed until it served.
    pub(crate) printed: String,
    pub(crate) endpoint: String,
    pub(crate) token: String,
}

impl Dev {
    /// Starts it on a free port and waits until it invites to type something.
    pub(crate) async fn start(data: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_byokd"));
        command
            .args(["dev", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pages", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            // What it prints last before it serves: the invitation, or, without the walk, its address.
            let last = line.contains("switch false; sleep 3") || more.contains(&"--no-walk");
            printed.push_str(&line);
            printed.push('\n');
            if last {
                break;
            }
        }
        // What it says later goes nowhere, and must not stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let endpoint = printed.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
        let endpoint = endpoint.unwrap_or_else(|| panic!("no address:\n{printed}")).trim_end_matches(',').to_owned();
        let token = std::fs::read_to_string(data.join("token")).unwrap();
        Self { child, printed, endpoint, token }
    }

    pub(crate) fn byokctl(&self) -> Byokctl {
        Byokctl::at(&self.endpoint, &self.token)
    }

    /// The most resident memory it has had, in KiB (`VmHWM`).
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ctrl-C, and the exit code.
    pub(crate) async fn interrupt(mut self) -> Option<i32> {
        signal(&self.child, rustix::process::Signal::INT);
        self.child.wait().await.unwrap().code()
    }

    /// The hard way.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).unwrap())).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The names in a directory.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = dir.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
