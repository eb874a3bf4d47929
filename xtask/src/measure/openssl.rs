//! How fast is OpenSSL's AES-256-GCM here?
//!
//! Asked of the `openssl` program and not linked: the crates that bind it need its headers, or Perl and minutes to build
//! it, and nothing else of ours may link it. With `-aead`, its loop sets an IV, adds 13 bytes of associated data, encrypts
//! and finishes for each message, with the key schedule reused: the fair neighbour of a seal.

use std::process::Command;

use anyhow::{Context, Result};

use crate::tool;

/// "OpenSSL 3.0.19 …"; `None` when it is not installed.
pub(crate) fn version() -> Option<String> {
    let mut command = Command::new("openssl");
    tool::output(command.arg("version")).ok().map(|line| line.trim().to_owned())
}

/// Seconds to seal one message of `bytes`, over a turn of one second of real time.
pub(crate) fn seconds_per_seal(bytes: usize) -> Result<f64> {
    let bytes_text = bytes.to_string();
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-elapsed", "-aead", "-evp", "aes-256-gcm", "-seconds", "1", "-bytes", &bytes_text]);
    let answer = tool::output(&mut command)?;
    let per_second = bytes_per_second(&answer).with_context(|| format!("`openssl speed` answered {answer:?}"))?;
    Ok(bytes as f64 / per_second)
}

/// The figure of a line like `+F:25:AES-256-GCM:68893963.64`.
fn bytes_per_second(answer: &str) -> Option<f64> {
    let line = answer.lines().find(|line| line.starts_with("+F:"))?;
    line.rsplit(':').next()?.trim().parse().ok().filter(|speed| *speed > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_the_last_field_of_the_figures_line() {
        assert_eq!(bytes_per_second("+H:64\n+F:25:AES-256-GCM:68893963.64\n"), Some(68_893_963.64));
        assert_eq!(bytes_per_second("+H:64\n"), None);
        assert_eq!(bytes_per_second("+F:25:AES-256-GCM:0.00\n"), None);
    }
}
