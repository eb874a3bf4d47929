//! How two things are compared on a machine that others use too: in short turns, round after round, and by the median of
//! each round's ratio. What disturbs one turn disturbs its neighbour.

use std::{hint::black_box, time::Duration};

use anyhow::{Result, ensure};

use crate::stopwatch::Stopwatch;

/// Something that can be timed: runs for one turn and answers the seconds one operation took.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'static str,
    turn: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Contestant<'a> {
    /// An operation in this process; a turn is as many of them as take `turn` on a quiet machine.
    pub(crate) fn timed<T>(name: &'static str, turn: Duration, mut operation: impl FnMut() -> T + 'a) -> Self {
        let mut iterations = 1_u32;
        let mut time = move |iterations: u32| {
            let stopwatch = Stopwatch::start();
            for _ in 0..iterations {
                black_box(operation());
            }
            stopwatch.elapsed()
        };
        // Warms up, too. The best of three: one interruption must not leave turns of a single operation.
        let mut best_of_three = |iterations| (0..3).map(|_| time(iterations)).min().unwrap_or_default();
        while best_of_three(iterations) < turn / 2 && iterations < u32::MAX / 2 {
            iterations *= 2;
        }
        Self { name, turn: Box::new(move || Ok(time(iterations).as_secs_f64() / f64::from(iterations))) }
    }

    /// Something that measures itself, another program for example.
    pub(crate) fn measured(name: &'static str, turn: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name, turn: Box::new(turn) }
    }
}

/// The seconds of one operation, by contestant and round.
pub(crate) struct Times {
    names: Vec<&'static str>,
    rounds: Vec<Vec<f64>>,
}

/// Lets the contestants take turns, in the opposite order every other round.
pub(crate) fn interleave(rounds: usize, contestants: &mut [Contestant<'_>]) -> Result<Times> {
    ensure!(rounds > 0, "there is no median of no rounds");
    let names = contestants.iter().map(|contestant| contestant.name).collect();
    let mut all = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut seconds = vec![0.0; contestants.len()];
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            seconds[index] = (contestants[index].turn)()?;
        }
        all.push(seconds);
    }
    Ok(Times { names, rounds: all })
}

impl Times {
    /// Median nanoseconds of one operation.
    pub(crate) fn nanoseconds(&self, name: &str) -> f64 {
        let column = self.column(name);
        median(self.rounds.iter().map(|round| round[column] * 1e9).collect())
    }

    /// Median of `a − b` within a round, in nanoseconds.
    pub(crate) fn difference(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.column(a), self.column(b));
        median(self.rounds.iter().map(|round| (round[a] - round[b]) * 1e9).collect())
    }

    /// Median of the ratio of throughputs within a round: how many `a` are done in the time of one `b`.
    pub(crate) fn throughput_ratio(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.column(a), self.column(b));
        median(self.rounds.iter().map(|round| round[b] / round[a]).collect())
    }

    fn column(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).expect("only contestants are asked for")
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_ratios_is_not_moved_by_a_disturbed_round() {
        // b is three times slower than a; the machine is ten times slower in round 2, and a alone stumbles in round 4.
        let rounds = vec![vec![1.0, 3.0], vec![10.0, 30.0], vec![1.0, 3.0], vec![50.0, 3.0], vec![1.0, 3.0]];
        let times = Times { names: vec!["a", "b"], rounds };
        assert!((times.throughput_ratio("a", "b") - 3.0).abs() < 1e-9);
        assert!((times.throughput_ratio("b", "a") - 1.0 / 3.0).abs() < 1e-9);
        assert!((times.difference("b", "a") - 2e9).abs() < 1.0);
    }

    #[test]
    fn contestants_take_turns_and_the_order_is_turned_round() {
        let order = std::cell::RefCell::new(String::new());
        let mut contestants = ["a", "b"].map(|name| {
            Contestant::measured(name, || {
                order.borrow_mut().push_str(name);
                Ok(1.0)
            })
        });
        interleave(3, &mut contestants).unwrap();
        drop(contestants);
        assert_eq!(order.into_inner(), "abbaab");
    }
}
