//! What was measured against what was aimed at.

use std::fmt;

use crate::table::{Lean, Table};

/// What a measured number is held to.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At least `gate`; `stretch` is what we would like.
    AtLeast { gate: f64, stretch: f64 },
    /// At most `gate`.
    AtMost { gate: f64, stretch: f64 },
    /// At least this is hoped for; nothing depends on it.
    Hope { at_least: f64 },
    /// For the reader only.
    None,
}

/// Whether a gate counts on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    Yes,
    /// The target was set for machines with other instructions.
    NotOnThisCpu,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stretch,
    Gate,
    Missed,
    /// No gate: for the reader, or set for another kind of machine.
    NoGate,
}

/// One measurement.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) measured: f64,
    /// "ns", "×", "MB/s".
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    pub(crate) counts: Counts,
}

impl Row {
    pub(crate) fn verdict(&self) -> Verdict {
        let reached = match self.target {
            Target::None | Target::Hope { .. } => return Verdict::NoGate,
            _ if self.counts == Counts::NotOnThisCpu => return Verdict::NoGate,
            Target::AtLeast { gate, stretch } => (self.measured >= gate, self.measured >= stretch),
            Target::AtMost { gate, stretch } => (self.measured <= gate, self.measured <= stretch),
        };
        match reached {
            (_, true) => Verdict::Stretch,
            (true, false) => Verdict::Gate,
            (false, false) => Verdict::Missed,
        }
    }

    /// Measured ÷ target where more is better, target ÷ measured where less is: at or above 1 the target is reached.
    fn ratio(&self) -> Option<f64> {
        match self.target {
            Target::AtLeast { gate, .. } => Some(self.measured / gate),
            Target::Hope { at_least } => Some(self.measured / at_least),
            Target::AtMost { gate, .. } => Some(gate / self.measured),
            Target::None => None,
        }
    }
}

/// All rows, and what could not be measured here.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    not_measured: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn add(&mut self, what: impl Into<String>, measured: f64, unit: &'static str, target: Target) {
        self.add_if(Counts::Yes, what, measured, unit, target);
    }

    pub(crate) fn add_if(
        &mut self,
        counts: Counts,
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        target: Target,
    ) {
        self.rows.push(Row { what: what.into(), measured, unit, target, counts });
    }

    pub(crate) fn not_measured(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.not_measured.push((what.into(), why.into()));
    }

    /// How many gates were missed.
    pub(crate) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict() == Verdict::Missed).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("what", Lean::Left),
            ("measured", Lean::Right),
            ("target", Lean::Right),
            ("stretch", Lean::Right),
            ("ratio", Lean::Right),
            ("verdict", Lean::Left),
        ]);
        for row in &self.rows {
            let number = |value: f64| format!("{} {}", digits(value), row.unit);
            let (target, stretch) = match row.target {
                Target::AtLeast { gate, stretch } => (format!("≥ {}", number(gate)), digits(stretch)),
                Target::AtMost { gate, stretch } => (format!("≤ {}", number(gate)), digits(stretch)),
                Target::Hope { at_least } => (String::new(), digits(at_least)),
                Target::None => (String::new(), String::new()),
            };
            let ratio = row.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let verdict = match row.verdict() {
                Verdict::Stretch => "reached, and the stretch",
                Verdict::Gate => "reached",
                Verdict::Missed => "MISSED",
                Verdict::NoGate if row.counts == Counts::NotOnThisCpu => "no gate on this CPU",
                Verdict::NoGate => "",
            };
            table.row([row.what.clone(), number(row.measured), target, stretch, ratio, verdict.to_owned()]);
        }
        write!(f, "{table}")?;
        for (what, why) in &self.not_measured {
            write!(f, "\nnot measured: {what}: {why}")?;
        }
        Ok(())
    }
}

/// Three significant digits, without an exponent.
fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(measured: f64, target: Target) -> Verdict {
        Row { what: String::new(), measured, unit: "×", target, counts: Counts::Yes }.verdict()
    }

    #[test]
    fn a_number_is_held_to_its_gate_from_the_right_side() {
        let more = Target::AtLeast { gate: 15.0, stretch: 25.0 };
        assert_eq!(
            [14.9, 15.0, 25.0].map(|ratio| verdict(ratio, more)),
            [Verdict::Missed, Verdict::Gate, Verdict::Stretch]
        );
        let less = Target::AtMost { gate: 300.0, stretch: 150.0 };
        assert_eq!(
            [301.0, 300.0, 150.0].map(|ns| verdict(ns, less)),
            [Verdict::Missed, Verdict::Gate, Verdict::Stretch]
        );
        assert_eq!(verdict(f64::NAN, more), Verdict::Missed, "no number is not a pass");
    }

    #[test]
    fn a_missed_gate_is_counted_and_shown_unless_it_was_set_for_another_cpu() {
        let mut report = Report::default();
        let target = Target::AtLeast { gate: 3.0, stretch: 3.9 };
        report.add("seal", 1.0, "×", target);
        report.add_if(Counts::NotOnThisCpu, "seal", 1.0, "×", target);
        report.not_measured("OpenSSL", "openssl is not installed");
        assert_eq!(report.missed(), 1);
        let shown = report.to_string();
        for part in ["MISSED", "0.33", "no gate on this CPU", "openssl is not installed"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
