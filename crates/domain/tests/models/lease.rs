//! A customer's key version, its vault that changes its mind, and two replicas that serve by leases.
//!
//! Answers are slow, come out of order or not at all, and a replica's real time is set back. Every time is an age, up to the
//! point where it makes no difference any more, so that the model has no end: what holds here holds for ever.

use std::time::Duration;

use domain::lease::{Generation, KeyLease};
use domain::{Moment, Timestamp};
use stateright::{Model, Property};

use crate::{breaks, holds_everywhere};

/// The bound on a lease, in steps.
const H: u8 = 1;
/// Older than this is as good as never.
const OLD: u8 = H + 1;
/// How far real time is set back.
const BACK: i8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// The lease runs from the answer and not from the asking.
    LeaseFromAnswer,
    /// An answer to a question from before a denial is taken.
    OlderGenerationTaken,
    /// Only real time is looked at.
    RealTimeOnly,
    /// No answer at all counts as another yes.
    SilenceRenews,
    /// A denial leaves the lease to run out.
    DenialIgnored,
}

struct Leases(Bug);

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    /// For how long the vault has said no.
    denying: Option<u8>,
    replicas: [Replica; 2],
    broken: Broken,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Replica {
    lease: Option<Lease>,
    /// The younger one first: two states that differ in their order alone are one.
    questions: [Option<Question>; 2],
    set_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lease {
    asked: Asked,
    /// For the promises: how long ago the question was asked whose yes it rests on, and whether a no has come since.
    proven: u8,
    refused_since: bool,
}

/// How long ago something was asked, by boot time and by real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Asked {
    boot: u8,
    real: i8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Question {
    asked: Asked,
    /// Asked in the present generation.
    present: bool,
    yes: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Broken {
    served_without_proof: bool,
    served_after_denial: bool,
    served_by_older_proof: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    TimePasses,
    VaultSaysNo,
    VaultSaysYes,
    Ask { replica: usize },
    Arrives { replica: usize, question: usize },
    IsLost { replica: usize, question: usize },
    RealTimeIsSetBack { replica: usize },
    Serve { replica: usize },
}

const NOW: i64 = 1_000;

fn moment(boot_age: u8, real_age: i8) -> Moment {
    let boot = Duration::from_secs(NOW.unsigned_abs() - u64::from(boot_age));
    Moment { wall: Timestamp::from_micros((NOW - i64::from(real_age)) * 1_000_000), boot }
}

fn older(age: u8) -> u8 {
    (age + 1).min(OLD)
}

impl Asked {
    const NOW: Self = Self { boot: 0, real: 0 };

    fn older(self) -> Self {
        let old = i8::try_from(OLD).unwrap();
        Self { boot: older(self.boot), real: (self.real + 1).min(old) }
    }

    fn holds(self, bug: Bug) -> bool {
        let lease = KeyLease::from_proof(moment(self.boot, self.real), Duration::from_secs(u64::from(H)));
        let now = match bug {
            Bug::RealTimeOnly => moment(self.boot, 0),
            _ => moment(0, 0),
        };
        lease.holds(now)
    }
}

impl Replica {
    fn older(&mut self, bug: Bug) {
        if let Some(lease) = &mut self.lease {
            (lease.asked, lease.proven) = (lease.asked.older(), older(lease.proven));
        }
        for question in self.questions.iter_mut().flatten() {
            question.asked = question.asked.older();
        }
        if bug == Bug::None {
            // What boot time says is over is over, whatever real time says.
            self.lease = self.lease.filter(|lease| lease.asked.boot < OLD);
            let over = self.questions.iter_mut().flatten().filter(|question| question.asked.boot == OLD);
            over.for_each(|question| question.asked.real = 0);
        }
        self.questions.sort_unstable_by_key(|question| std::cmp::Reverse(*question));
    }

    fn hear_yes(&mut self, question: Question, bug: Bug) {
        let asked_in = Generation(u64::from(question.present));
        if !asked_in.is_still(Generation(1)) && bug != Bug::OlderGenerationTaken {
            return;
        }
        let asked = if bug == Bug::LeaseFromAnswer { Asked::NOW } else { question.asked };
        // As the service does: the newer of two proofs counts.
        if self.lease.is_none_or(|held| asked.boot < held.asked.boot) && (bug != Bug::None || asked.boot < OLD) {
            let (proven, refused_since) = (question.asked.boot, !question.present);
            self.lease = Some(Lease { asked, proven, refused_since });
        }
    }

    fn hear_no(&mut self, bug: Bug) {
        match &mut self.lease {
            Some(lease) if bug == Bug::DenialIgnored => lease.refused_since = true,
            lease => *lease = None,
        }
        for question in self.questions.iter_mut().flatten() {
            question.present = false;
        }
    }
}

impl Leases {
    /// A lease that is over serves nobody and is forgotten.
    fn may_serve(&self, replica: &Replica) -> bool {
        replica.lease.is_some_and(|lease| lease.asked.holds(self.0))
    }
}

impl Model for Leases {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken != Broken::default() {
            return;
        }
        actions.push(Action::TimePasses);
        actions.push(if state.denying.is_some() { Action::VaultSaysYes } else { Action::VaultSaysNo });
        for (replica, of) in state.replicas.iter().enumerate() {
            // Two questions at once, on one replica, are enough for answers to overtake each other; and one clock to be wrong.
            let (places, has_a_wrong_clock) = if replica == 0 { (2, true) } else { (1, false) };
            if of.questions.iter().take(places).any(Option::is_none) {
                actions.push(Action::Ask { replica });
            }
            for (question, _) in of.questions.iter().enumerate().filter(|(_, question)| question.is_some()) {
                actions.push(Action::Arrives { replica, question });
                actions.push(Action::IsLost { replica, question });
            }
            if has_a_wrong_clock && !of.set_back {
                actions.push(Action::RealTimeIsSetBack { replica });
            }
            if self.may_serve(of) {
                actions.push(Action::Serve { replica });
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::TimePasses => {
                next.denying = state.denying.map(older);
                next.replicas.iter_mut().for_each(|of| of.older(self.0));
            }
            Action::VaultSaysNo => next.denying = Some(0),
            Action::VaultSaysYes => next.denying = None,
            Action::Ask { replica } => {
                let yes = state.denying.is_none();
                let place = next.replicas[replica].questions.iter_mut().find(|place| place.is_none())?;
                *place = Some(Question { asked: Asked::NOW, present: true, yes });
                next.replicas[replica].questions.sort_unstable_by_key(|question| std::cmp::Reverse(*question));
            }
            Action::Arrives { replica, question } => {
                let of = &mut next.replicas[replica];
                let question = of.questions[question].take()?;
                of.questions.sort_unstable_by_key(|question| std::cmp::Reverse(*question));
                if question.yes { of.hear_yes(question, self.0) } else { of.hear_no(self.0) }
            }
            Action::IsLost { replica, question } => {
                let of = &mut next.replicas[replica];
                let question = of.questions[question].take()?;
                of.questions.sort_unstable_by_key(|question| std::cmp::Reverse(*question));
                if let (Bug::SilenceRenews, Some(lease)) = (self.0, &mut of.lease) {
                    lease.asked = question.asked;
                }
            }
            Action::RealTimeIsSetBack { replica } => {
                let of = &mut next.replicas[replica];
                of.set_back = true;
                let leases = of.lease.iter_mut().map(|lease| &mut lease.asked);
                let asked = leases.chain(of.questions.iter_mut().flatten().map(|question| &mut question.asked));
                asked.filter(|asked| asked.boot < OLD).for_each(|asked| asked.real -= BACK);
            }
            Action::Serve { replica } => {
                let Lease { proven, refused_since, .. } = state.replicas[replica].lease?;
                next.broken = Broken {
                    served_without_proof: proven > H,
                    served_after_denial: state.denying.is_some_and(|since| since > H),
                    served_by_older_proof: refused_since,
                };
                if next.broken == Broken::default() {
                    return None;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I-7", |_, state: &State| !state.broken.served_without_proof),
            Property::always("I-8", |_, state: &State| !state.broken.served_after_denial),
            Property::always("I-9", |_, state: &State| !state.broken.served_by_older_proof),
            Property::sometimes("both serve", |model: &Self, state: &State| {
                state.replicas.iter().all(|of| model.may_serve(of))
            }),
        ]
    }
}

/// I-7, I-8, I-9: two replicas, a vault that changes its mind, answers out of order and a clock set back.
#[test]
fn leases_hold_in_every_state() {
    let states = holds_everywhere("lease and generation", Leases(Bug::None));
    assert!(states > 10_000, "{states}");
}

/// Each promise fails when a bug it is there for is put in.
#[test]
fn each_bug_of_leases_is_found() {
    breaks("lease from the answer", "I-7", Leases(Bug::LeaseFromAnswer));
    breaks("real time only", "I-7", Leases(Bug::RealTimeOnly));
    breaks("silence renews", "I-7", Leases(Bug::SilenceRenews));
    breaks("lease from the answer", "I-8", Leases(Bug::LeaseFromAnswer));
    breaks("real time only", "I-8", Leases(Bug::RealTimeOnly));
    breaks("older generation taken", "I-9", Leases(Bug::OlderGenerationTaken));
    breaks("denial ignored", "I-9", Leases(Bug::DenialIgnored));
}
