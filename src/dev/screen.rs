//! How the walk looks: 80 columns, colour only on a terminal.

use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::trouble::Trouble;

const WIDTH: usize = 80;
const OK: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const PART: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Standard output, and what was said there so far.
pub(super) struct Screen {
    steps: usize,
    failed: usize,
}

impl Screen {
    pub(super) fn open() -> Self {
        Self { steps: 0, failed: 0 }
    }

    /// A line of its own, as it is: for what will be copied.
    pub(super) fn line(&mut self, text: &str) {
        write(&format!("{text}\n"));
    }

    /// What comes next.
    pub(super) fn title(&mut self, text: &str) {
        let text: String = wrapped(text, WIDTH).iter().map(|line| format!("{BOLD}{line}{BOLD:#}\n")).collect();
        write(&format!("{text}\n"));
    }

    /// The steps that follow belong together.
    pub(super) fn part(&mut self, title: &str) {
        let gap = if self.steps == 0 { "" } else { "\n" };
        write(&format!("{gap}{PART}{title}{PART:#}\n"));
    }

    /// A step's outcome: what it is about, how long it took, and what it showed.
    pub(super) fn step(&mut self, title: &str, took: Duration, outcome: &Result<String, Trouble>) {
        self.steps += 1;
        let took = duration(took);
        let gap = WIDTH.saturating_sub(2 + title.chars().count() + took.chars().count());
        let (mark, style) = if outcome.is_ok() { ("✓", OK) } else { ("✗", BAD) };
        let mut text = format!("{style}{mark}{style:#} {BOLD}{title}{BOLD:#}{:gap$}{DIM}{took}{DIM:#}\n", "");
        match outcome {
            Ok(finding) => {
                for line in wrapped(finding, WIDTH - 2) {
                    text.push_str(&format!("  {line}\n"));
                }
            }
            Err(trouble) => {
                self.failed += 1;
                for line in wrapped(&format!("error: {}", trouble.what), WIDTH - 2) {
                    text.push_str(&format!("  {BAD}{line}{BAD:#}\n"));
                }
                for line in wrapped(&format!("hint: {}", trouble.hint), WIDTH - 2) {
                    text.push_str(&format!("  {line}\n"));
                }
            }
        }
        write(&text);
    }

    /// The last line of the walk; whether every step showed what it was to show. `whole`: none was left out.
    pub(super) fn outcome(&mut self, whole: bool) -> bool {
        let good = whole && self.failed == 0;
        let text = match good {
            true => format!("{OK}{} steps, each checked.{OK:#}", self.steps),
            false => format!("{BAD}A step failed; those after it were not run.{BAD:#}"),
        };
        write(&format!("\n{text}\n"));
        good
    }
}

/// Nobody reading is no fault of the walk.
fn write(text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn duration(took: Duration) -> String {
    match took.as_millis() {
        0..=9 => format!("{:.1} ms", took.as_secs_f64() * 1e3),
        10..=999 => format!("{} ms", took.as_millis()),
        1_000.. => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// Broken at spaces; a word longer than a line keeps its line to itself.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is wider than the terminal, and nothing is lost by breaking it.
    #[test]
    fn text_is_broken_at_spaces_within_the_width() {
        let text = "a bb ccc dddd eeeee ffffff a-word-that-is-longer-than-a-line g";
        let lines = wrapped(text, 12);
        assert_eq!(lines.join(" "), text);
        assert!(lines.iter().all(|line| line.chars().count() <= 12 || !line.contains(' ')), "{lines:?}");
    }

    /// One failed step fails the walk, and so does a walk that was not finished.
    #[test]
    fn one_failed_step_fails_the_walk() {
        let mut screen = Screen::open();
        screen.step("good", Duration::ZERO, &Ok("fine".into()));
        assert!(screen.outcome(true));
        assert!(!screen.outcome(false));
        screen.step("bad", Duration::ZERO, &Err(Trouble::new("broken", "mend it")));
        assert!(!screen.outcome(true));
    }
}
