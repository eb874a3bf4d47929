//! How a failure is told: what is wrong, what to do next, and whose it is.

use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use client::{Error, Owner, StreamError};

/// Whose a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Caller,
    Customer,
    Service,
    /// A signal asked to stop.
    Interrupted,
    /// Whoever read our output went away. Said by the exit code alone, as shells do.
    PipeClosed,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Caller => 2,
            Self::Customer => 3,
            Self::Service => 4,
            Self::Interrupted => 130,
            Self::PipeClosed => 141,
        }
    }
}

/// One failure, as it is printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Failure {
    /// Something the caller can fix. Every one has a hint: see [`Unhinted::hint`].
    pub(crate) fn caller(message: impl Into<String>) -> Unhinted {
        Unhinted(message.into())
    }

    pub(crate) fn pipe_closed() -> Self {
        Self { exit: Exit::PipeClosed, message: String::new(), hint: String::new() }
    }

    /// A failed write to standard output: a reader that went away is no error to talk about.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::pipe_closed();
        }
        Self::caller(format!("writing to standard output failed: {error}")).hint("check where the output goes")
    }

    /// Adds to the message what the failure means for what was already done.
    pub(crate) fn with_consequence(mut self, consequence: &str) -> Self {
        if self.exit != Exit::PipeClosed {
            self.message = format!("{}; {consequence}", self.message);
        }
        self
    }

    /// Prints to standard error; colour only on a terminal.
    pub(crate) fn print(&self) -> ExitCode {
        if self.exit != Exit::PipeClosed {
            let (error, hint) = (Style::new().bold().fg_color(Some(AnsiColor::Red.into())), Style::new().bold());
            let mut err = anstream::stderr().lock();
            // Nobody is left to be told that telling failed.
            let _ = writeln!(err, "{error}error:{error:#} {}", one_line(&self.message));
            if !self.hint.is_empty() {
                let _ = writeln!(err, "{hint}hint:{hint:#} {}", one_line(&self.hint));
            }
        }
        ExitCode::from(self.exit.code())
    }
}

/// A failure that still lacks its next step.
#[must_use]
pub(crate) struct Unhinted(String);

impl Unhinted {
    pub(crate) fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { exit: Exit::Caller, message: self.0, hint: hint.into() }
    }
}

/// Texts come from files, arguments and services: a terminal must not obey what stands in them.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.owner() {
            Owner::Caller => Exit::Caller,
            Owner::Customer => Exit::Customer,
            Owner::Service => Exit::Service,
        };
        let (message, hint) = match &error {
            Error::Refused(refused) => {
                let mut message = refused.message.clone();
                let marks: Vec<&str> = [refused.reason.as_str(), refused.request_id.as_str()]
                    .into_iter()
                    .filter(|mark| !mark.is_empty())
                    .collect();
                if !marks.is_empty() {
                    message = format!("{message} [{}]", marks.join(", request "));
                }
                let mut hint = refused.remedy.clone();
                if let Some(wait) = refused.retry_after {
                    let comma = if hint.is_empty() { "" } else { "; " };
                    hint = format!("{hint}{comma}try again in {} s", wait.as_secs().max(1));
                }
                if hint.is_empty() {
                    hint = "the answer has no advice; check that the address is byokd's own".into();
                }
                (message, hint)
            }
            Error::Unreachable { .. } => (
                error.to_string(),
                "check that byokd runs, and --server (or BYOKCTL_SERVER), --ca and the network".into(),
            ),
            Error::NoAnswer { .. } => (error.to_string(), "try again; look at the service's health if it lasts".into()),
            Error::Options(_) => (error.to_string(), "see --ca and --token-file in byokctl --help".into()),
            Error::Answer(_) => (error.to_string(), "check that byokctl and byokd are of the same release".into()),
        };
        Self { exit, message, hint }
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Call(error) => error.into(),
            StreamError::Read(_) => {
                Self::caller(error.to_string()).hint("check the input file or the program before the pipe")
            }
            StreamError::Write(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Self::pipe_closed(),
            StreamError::Write(_) => Self::caller(error.to_string()).hint("check the free space where the output goes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Refused;

    fn refused(owner: Owner) -> Failure {
        let refused = Refused {
            code: tonic::Code::FailedPrecondition,
            reason: "KEY_DISABLED".into(),
            owner,
            remedy: "re-enable that version".into(),
            request_id: "01J9".into(),
            retry_after: Some(std::time::Duration::from_millis(200)),
            message: "the key version is disabled\u{1b}[2J".into(),
        };
        Error::Refused(Box::new(refused)).into()
    }

    /// The exit code tells whose fault it is, without reading the text.
    #[test]
    fn the_exit_code_says_whose_fault_it_is() {
        let codes = [Owner::Caller, Owner::Customer, Owner::Service].map(|owner| refused(owner).exit.code());
        assert_eq!(codes, [2, 3, 4]);
    }

    /// Reason, request id, remedy and delay are all there; escape codes of a stranger's text are not.
    #[test]
    fn a_refusal_is_told_in_full_and_cannot_steer_the_terminal() {
        let told = refused(Owner::Customer);
        assert_eq!(one_line(&told.message), "the key version is disabled\u{fffd}[2J [KEY_DISABLED, request 01J9]");
        assert_eq!(told.hint, "re-enable that version; try again in 1 s");
    }

    /// A closed pipe is quiet, and still no success.
    #[test]
    fn a_closed_pipe_is_quiet_and_no_success() {
        let failure = Failure::from(StreamError::Write(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(failure.exit.code(), 141);
        assert!(failure.with_consequence("discard it").message.is_empty());
    }
}
