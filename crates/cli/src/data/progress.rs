//! How far a file is, on a terminal only.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const MANY: &str = "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}";

/// A bar if the length is known, else a count; nothing if nobody watches or the data itself goes to the terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(doing: &'static str, length: Option<u64>, data_on_stdout: bool) -> Self {
        let watched = io::stderr().is_terminal() && !(data_on_stdout && io::stdout().is_terminal());
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = match length {
            Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {binary_bytes_per_sec} {elapsed}",
        };
        // A template that does not parse would be a fault here, found by the test; a bar without style is still a bar.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(length, target).with_style(style).with_message(doing))
    }

    /// As [`Bar::new`], of things that are counted, on a terminal.
    pub(crate) fn of_many(doing: &'static str, count: Option<u64>) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template(MANY).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(count, target).with_style(style).with_message(doing))
    }

    /// Bytes of the input that are done, or things.
    pub(crate) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

/// The line goes away: what stays on the screen is the outcome.
impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The templates parse, and nothing is drawn where nobody watches.
    #[test]
    fn a_bar_that_nobody_watches_draws_nothing() {
        for length in [Some(10), None] {
            let bar = Bar::new("encrypting", length, true);
            bar.at(5);
            assert!(bar.0.is_hidden() || io::stderr().is_terminal());
        }
        for template in
            ["{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}", "{msg} {spinner} {bytes}", MANY]
        {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
