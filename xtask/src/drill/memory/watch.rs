//! One process that is watched: looked through after each step, in its memory and at some points in an image of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::kind::Kind;
use super::process::{self, Hit, Look, Place};
use super::wanted::Wanted;
use super::{SETTLE, core_file};
use crate::stopwatch::Stopwatch;

/// So long a buffer of a connection to the vault may hold the last answer after the call: an idle connection is closed after
/// a second, and who closes it looks about once a second. Looking takes its own time where the machine is busy.
const IN_PASSING: Duration = Duration::from_secs(6);

/// The secrets that are known, and what was found of them so far.
pub(crate) struct Watch {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) wanted: Wanted,
    /// Where images are written, if they can be.
    cores: Option<PathBuf>,
    /// Faults are there on purpose.
    pub(crate) seeded: bool,
    pub(crate) tally: Tally,
}

/// What all looks found together.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) looks: u32,
    pub(crate) images: u32,
    pub(crate) bytes: u64,
    pub(crate) secret_pages: u64,
    pub(crate) searched: u64,
    pub(crate) refused: BTreeSet<String>,
    pub(crate) found: BTreeMap<(Kind, Place), Found>,
    /// The longest that an unwrapped key stood in a buffer of a connection to the vault.
    pub(crate) in_passing: Duration,
    /// How long after its cause had ended the last of a kind was found, where that was looked at: so far gone, as it must be.
    pub(crate) gone: BTreeMap<Kind, Duration>,
    /// What was found where nothing of it may be, or when its cause was over, in words.
    pub(crate) faults: BTreeSet<String>,
}

/// What was found of one kind in one place.
#[derive(Default)]
pub(crate) struct Found {
    /// The most in one look.
    pub(crate) most: usize,
    /// After how many steps there was any.
    pub(crate) steps: u32,
    pub(crate) forms: BTreeSet<&'static str>,
    /// In the last look, after nobody called for [`SETTLE`].
    pub(crate) left: usize,
}

impl Watch {
    pub(crate) fn new(name: &'static str, pid: u32, cores: Option<PathBuf>) -> Self {
        Self { name, pid, wanted: Wanted::default(), cores, seeded: false, tally: Tally::default() }
    }

    /// Looks through the memory after this step; with `image`, through a core image too.
    pub(crate) async fn after(&mut self, step: &str, image: bool) -> Result<()> {
        let finder = self.wanted.finder()?;
        let mut look = process::look(self.pid, &finder)?;
        let passing = Stopwatch::start();
        let outside = |hit: &&Hit| hit.kind.must_be_locked() && hit.place != Place::Locked;
        while look.hits.iter().any(|hit| outside(&hit)) {
            if !look.hits.iter().filter(outside).all(|hit| hit.form == "base64" && hit.place == Place::Heap)
                || passing.elapsed() > IN_PASSING
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            look = process::look(self.pid, &finder)?;
            self.tally.in_passing = self.tally.in_passing.max(passing.elapsed());
        }
        let seen = self.judge(step, &look);
        self.tally.looks += 1;
        let mut told = format!("{:>5} hits in {:>3} MiB", seen, look.bytes >> 20);
        if let (Some(directory), true) = (&self.cores, image) {
            let finder = self.wanted.finder()?;
            let look = core_file::look(self.pid, directory, &finder)?;
            let seen = self.judge(&format!("{step}, core image"), &look);
            self.tally.images += 1;
            told.push_str(&format!(", {seen} in a core image of {} MiB", look.bytes >> 20));
        }
        println!("  {step:<62} {told}");
        for fault in self.tally.faults.iter().filter(|fault| fault.starts_with(step)).take(8) {
            println!("    {}: {fault}", self.faults_are());
        }
        Ok(())
    }

    /// Waits for the last of these kinds to go, now that what they were there for is over. What is still on the heap when the time is
    /// up is a fault; a stack is written over as it comes.
    pub(crate) async fn gone(&mut self, step: &str, kinds: &[Kind], patience: Duration) -> Result<()> {
        let unknown = self.wanted.unknown(kinds);
        ensure!(unknown.is_empty(), "{step}: nothing is known of {unknown:?}, so that it is gone would mean nothing");
        let waited = Stopwatch::start();
        loop {
            let look = process::look(self.pid, &self.wanted.finder()?)?;
            let left = |hit: &&Hit| kinds.contains(&hit.kind) && hit.place == Place::Heap;
            let left: Vec<&Hit> = look.hits.iter().filter(left).collect();
            for kind in kinds {
                if left.iter().any(|hit| hit.kind == *kind) {
                    self.tally.gone.insert(*kind, waited.elapsed());
                } else {
                    self.tally.gone.entry(*kind).or_default();
                }
            }
            if left.is_empty() {
                println!("  {step:<62} gone after {:.1} s", waited.elapsed().as_secs_f64());
                return Ok(());
            }
            if waited.elapsed() > patience {
                for hit in left {
                    let (name, label) = (hit.kind.name(), self.wanted.label(hit.secret));
                    let fault = format!("{step}: {name} ({label}): {} on the {}, after its cause", hit.form, hit.place);
                    println!("    {}: {fault}", self.faults_are());
                    self.tally.gone.remove(&hit.kind);
                    self.tally.faults.insert(fault);
                }
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The last look: what is still there although nobody calls.
    pub(crate) async fn at_rest(&mut self, must_be_known: &[Kind]) -> Result<()> {
        tokio::time::sleep(SETTLE).await;
        self.tally.found.values_mut().for_each(|found| found.left = 0);
        self.after(&format!("nobody calls for {} s", SETTLE.as_secs()), true).await?;
        let look = process::look(self.pid, &self.wanted.finder()?)?;
        for hit in &look.hits {
            self.tally.found.entry((hit.kind, hit.place.clone())).or_default().left += 1;
        }
        ensure!(look.bytes > 0, "nothing could be read");
        // Each of these was made on the way: of which there is none, it was not learnt, and not searched for.
        let unknown = self.wanted.unknown(must_be_known);
        ensure!(unknown.is_empty(), "{}: of these nothing was searched for: {}", self.name, unknown.join(", "));
        // What could not be read was not searched: to call that clean would be to guess. A mapping that went while it was read is
        // not there the next time.
        let again = process::look(self.pid, &self.wanted.finder()?)?;
        let unread = unread(&look, &again);
        ensure!(unread.is_empty(), "{}: readable memory that could not be read: {}", self.name, unread.join(", "));
        Ok(())
    }

    const fn faults_are(&self) -> &'static str {
        if self.seeded { "found, as it must be" } else { "FAULT" }
    }

    fn judge(&mut self, step: &str, look: &Look) -> usize {
        let tally = &mut self.tally;
        tally.bytes += look.bytes;
        tally.secret_pages = tally.secret_pages.max(look.secret_pages);
        tally.refused.extend(look.refused.iter().cloned());
        tally.searched += Kind::ALL.iter().map(|kind| self.wanted.count(*kind).0 as u64).sum::<u64>();
        let mut here: BTreeMap<(Kind, Place), usize> = BTreeMap::new();
        for hit in look.hits.iter().filter(|hit| hit.place != Place::Locked) {
            *here.entry((hit.kind, hit.place.clone())).or_default() += 1;
            tally.found.entry((hit.kind, hit.place.clone())).or_default().forms.insert(hit.form);
            if !hit.kind.may_stand(&hit.place) {
                let label = self.wanted.label(hit.secret);
                tally.faults.insert(format!(
                    "{}: {} ({label}): {} on the {}",
                    step,
                    hit.kind.name(),
                    hit.form,
                    hit.place
                ));
            }
        }
        let seen = here.values().sum();
        for (of, count) in here {
            let found = tally.found.entry(of).or_default();
            found.most = found.most.max(count);
            found.steps += 1;
        }
        seen
    }
}

/// What neither of two looks could read.
fn unread<'a>(first: &'a Look, second: &Look) -> Vec<&'a str> {
    first.refused.iter().filter(|region| second.refused.contains(region)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A region that no look could read is told; one that was read the second time, or was gone, is not.
    #[test]
    fn what_no_look_could_read_is_told() {
        let look =
            |refused: &[&str]| Look { refused: refused.iter().map(ToString::to_string).collect(), ..Look::default() };
        let (heap, file) = ("1000-2000 (heap)", "5000-6000 (lib.so)");
        assert_eq!(unread(&look(&[heap, file]), &look(&[heap])), [heap]);
        assert!(unread(&look(&[]), &look(&[heap])).is_empty() && unread(&look(&[heap]), &look(&[])).is_empty());
    }
}
