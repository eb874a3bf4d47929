//! An export is as it was written, or what is not is named.

mod support;

use std::ops::Range;

use domain::ledger::SignedCheckpoint;
use ledger::Finding;
use ledger::export::Line;
use ledger::verify::{Look, Place};
use proptest::prelude::*;
use support::{Chain, cut_at_the_front, verify, verify_after, verify_bytes, verify_knowing, verify_without};

/// What was written is found good, the whole and a part of it, with and without a checkpoint that was kept.
#[test]
fn an_untouched_export_is_good() {
    let chain = Chain::of(100);
    let early = Chain::of(60).checkpoint();
    for (after, kept) in [(0, None), (0, Some(early.clone())), (60, Some(early)), (60, None)] {
        let report = verify_after(after, &chain.export_after(after), kept);
        assert!(report.is_good(), "{:?}", report.findings);
        assert_eq!((report.after, report.range.unwrap()), (after, (after + 1, 100)));
    }
    assert!(verify(&Chain::of(0).export(), None).is_good(), "a chain without events");
    assert_eq!(verify(&chain.export(), None).checkpoints, 6, "five in the chain, and the closing one");
}

/// A part to which nothing ties the checkpoint that was kept is not good: anybody with the key could have written it.
#[test]
fn a_part_after_the_kept_checkpoint_is_not_good() {
    let (chain, early) = (Chain::of(100), Chain::of(40).checkpoint());
    for (after, older) in [(80, true), (41, true), (40, false), (0, false)] {
        let report = verify_after(after, &chain.export_after(after), Some(early.clone()));
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!((report.kept_is_older, report.is_good()), (older, !older), "after {after}");
    }
    let report = verify_after(100, &chain.export_after(100), Some(early));
    assert!(report.kept_is_older && !report.is_good(), "a part without events");
}

/// L-41: an export whose first events were taken out, and whose first line was made to fit, misses them: where an export begins is
/// signed by nobody, and only the caller knows what was asked for.
#[test]
fn an_export_cut_off_at_its_front_is_named() {
    let chain = Chain::of(100);
    for cut in [1, 19, 40, 99, 100] {
        let lines = cut_at_the_front(&chain.export(), cut);
        assert_eq!(lines, chain.export_after(cut), "nothing in it tells it from what was asked for");
        let missing = |from| vec![Finding::Missing { from, to: cut }];
        assert_eq!(verify(&lines, None).findings, missing(1));
        assert_eq!(verify(&lines, Some(chain.checkpoint())).findings, missing(1), "a newer checkpoint is no excuse");
        assert_eq!(verify_after(cut - 1, &lines, None).findings, missing(cut));
        for asked in [cut, 100] {
            let report = verify_after(asked, &lines, None);
            assert_eq!((report.findings, report.after), (vec![], cut), "asked for {asked}");
        }
        // One from before what was taken out: what is missing is named, and asked for or not, nothing ties the part to it.
        let early = Chain::of(cut / 2).checkpoint();
        let report = verify(&lines, Some(early.clone()));
        assert_eq!((report.findings, report.kept_is_older), (missing(1), true));
        assert!(!verify_after(cut, &lines, Some(early)).is_good());
    }
    // More than was asked for is no less.
    assert!(verify_after(40, &chain.export_after(20), None).is_good());
    assert!(verify_after(40, &chain.export(), Some(Chain::of(20).checkpoint())).is_good());
    // Events that a first line denies are found, and not called missing.
    let mut denied = chain.export();
    denied[0] = chain.export_after(2)[0].clone();
    let findings = verify(&denied, None).findings;
    assert!(findings.contains(&Finding::Misplaced { number: 1, line: 2 }), "{findings:?}");
    assert!(!findings.iter().any(|finding| matches!(finding, Finding::Missing { .. })), "{findings:?}");
}

/// What the service says of an export that came before it could write is told, and is no fault of the file's.
#[test]
fn an_export_that_is_behind_says_so() {
    let mut lines = Chain::of(50).export();
    assert!(!verify(&lines, None).behind);
    let last = lines.pop().unwrap();
    let Line::End(end) = Line::read(&last).unwrap() else { panic!("{last}") };
    lines.push(Line::End(ledger::End { behind: true, ..end }).write());
    let report = verify(&lines, None);
    assert!(report.behind && report.is_good(), "{:?}", report.findings);
    // One way to write each.
    let explicit = last.replacen("}}", "},\"behind\":false}", 1);
    assert_ne!(explicit, last);
    *lines.last_mut().unwrap() = explicit;
    assert!(!verify(&lines, None).is_good());
}

/// Two checkpoints that say different things of one event are told apart even where the event itself is not here.
#[test]
fn a_fork_is_seen_where_there_are_no_events() {
    let (ours, mut other) = (Chain::of(42), Chain::of(42));
    other.events[41].actor = "bob".to_owned();
    other.follow_through(41);
    let findings = verify_after(42, &other.export_after(42), Some(ours.checkpoint())).findings;
    assert_eq!(findings, [Finding::Rewritten { number: 42, place: Place::Kept }]);
    assert!(verify_after(42, &ours.export_after(42), Some(ours.checkpoint())).is_good());
    // Two that were kept, and the events they are about come before the part.
    let mut longer = Chain::of(42);
    longer.push("app.upserted", vec![]);
    let findings = verify_knowing(&longer.export_after(43), Vec::new(), vec![ours.checkpoint(), other.checkpoint()]);
    assert_eq!(findings.findings, [Finding::Rewritten { number: 42, place: Place::Kept }]);
    // What is not signed, or by another, accuses nobody.
    let mut unsigned = other.checkpoint();
    unsigned.signature[0] ^= 1;
    let findings = verify_after(42, &ours.export_after(42), Some(unsigned)).findings;
    assert_eq!(findings, [Finding::BadSignature { place: Place::Kept }]);
}

/// Whoever asks for what comes after an event knows that it is there: an older export, genuine and whole, is not what they asked for.
#[test]
fn an_export_that_ends_before_what_was_asked_for_is_named() {
    let old = Chain::of(40).export();
    let why = "the event after which it should begin is known to be there";
    assert_eq!(verify_after(100, &old, None).findings, [Finding::CutOff { after: 40, why }]);
    assert_eq!(verify_after(40, &old, None).findings, []);
}

/// A chain's own checkpoint is about an event before it; no other can be checked by what stands before.
#[test]
fn a_checkpoint_about_a_later_event_is_named() {
    let ahead = |number: u64| {
        let mut chain = Chain::of(30);
        let details = chain.checkpoint_of(number, [9; 32]).details();
        chain.push(SignedCheckpoint::EVENT, details.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
        verify(&chain.export(), None).findings
    };
    for about in [31, 32, u64::MAX] {
        let found = ahead(about);
        assert_eq!(found, [Finding::Ahead { event: 31, about }]);
    }
    assert_eq!(ahead(30), [Finding::Rewritten { number: 30, place: Place::Event(31) }]);
}

/// All checkpoints of an export are of one key, though nobody said which; two keys are good only to whoever named both.
#[test]
fn two_keys_in_one_export_are_named() {
    let mut chain = Chain::of(30);
    let stranger = Chain::new(2);
    let head = ledger::export::hash(&chain.events[29].hash).unwrap();
    let details = stranger.checkpoint_of(30, head).details();
    chain.push(SignedCheckpoint::EVENT, details.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
    let lines = chain.export();
    let other = |keys| verify_knowing(&lines, keys, Vec::new()).findings;
    let public_key = hex::encode(stranger.public_key());
    let named = [Finding::OtherKey { place: Place::Event(31), public_key }];
    assert_eq!(other(Vec::new()), named);
    assert_eq!(other(vec![chain.public_key()]), named);
    assert_eq!(other(vec![chain.public_key(), stranger.public_key()]), []);
}

/// Bytes that are no text are named, though a reader that puts U+FFFD for them would find what was written.
#[test]
fn bytes_that_are_no_text_are_named() {
    let mut chain = Chain::of(3);
    chain.push("app.upserted", vec![("app".to_owned(), "\u{fffd}".to_owned())]);
    let lines = chain.export();
    let whole: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
    assert!(verify_bytes(&whole).is_good());
    let mut changed = whole;
    let at = changed[4].windows(3).position(|three| three == "\u{fffd}".as_bytes()).unwrap();
    changed[4].splice(at..at + 3, [0xff]);
    let findings = verify_bytes(&changed).findings;
    assert!(matches!(findings[..], [Finding::Line { line: 5, expected: 4, .. }, ..]), "{findings:?}");
}

/// A number that nothing can follow is met with a finding.
#[test]
fn the_greatest_number_is_borne() {
    let mut lines = Chain::of(3).export();
    let Line::Head(head) = Line::read(&lines[0]).unwrap() else { panic!("{}", lines[0]) };
    let Line::Event(event) = Line::read(&lines[1]).unwrap() else { panic!("{}", lines[1]) };
    let greatest = Line::Event(ledger::Event { number: u64::MAX, ..event }).write();
    for after in [0, u64::MAX - 1, u64::MAX] {
        lines[0] = Line::Head(ledger::export::Head { after, ..head.clone() }).write();
        lines[1].clone_from(&greatest);
        lines[2].clone_from(&greatest);
        let findings = verify(&lines, None).findings;
        let twice = Finding::Misplaced { number: u64::MAX, line: 3 };
        assert!(findings.contains(&twice), "after {after}: {findings:?}");
    }
}

/// One event altered is named, whatever of it was altered.
#[test]
fn an_altered_event_is_named() {
    type Change = fn(&mut ledger::Event);
    let changes: [Change; 7] = [
        |event| event.actor = "bob".to_owned(),
        |event| event.event = "app.deleted".to_owned(),
        |event| event.details[0].1 = "other".to_owned(),
        |event| event.details.clear(),
        |event| event.time_micros += 1,
        |event| event.time = ledger::Event::time_text(0),
        |event| event.hash = "00".repeat(32),
    ];
    for change in changes {
        let mut chain = Chain::of(50);
        change(&mut chain.events[29]);
        let report = verify(&chain.export(), None);
        assert!(report.findings.contains(&Finding::Altered { number: 30 }), "{:?}", report.findings);
        assert!(report.findings.iter().all(|finding| about(finding) == Some(30)), "{:?}", report.findings);
    }
}

/// Which event a finding is about.
fn about(finding: &Finding) -> Option<u64> {
    match finding {
        Finding::Altered { number }
        | Finding::Misplaced { number, .. }
        | Finding::Unlinked { number }
        | Finding::Rewritten { number, .. } => Some(*number),
        Finding::Missing { from, to } if from == to => Some(*from),
        Finding::Line { expected, .. } => Some(*expected),
        _ => None,
    }
}

/// Dropped, reordered and doubled events are named, and nothing else is.
#[test]
fn dropped_and_reordered_events_are_named() {
    let lines = Chain::of(50).export();
    let mut dropped = lines.clone();
    dropped.remove(30);
    let mut findings = verify(&dropped, None).findings;
    // The closing line counts one more as well.
    assert!(matches!(findings.pop(), Some(Finding::Line { .. })));
    assert_eq!(findings, [Finding::Missing { from: 30, to: 30 }]);
    let mut swapped = lines.clone();
    swapped.swap(30, 31);
    assert_eq!(verify(&swapped, None).findings, [Finding::Misplaced { number: 30, line: 32 }]);
    let mut doubled = lines.clone();
    doubled.insert(31, lines[30].clone());
    let findings = verify(&doubled, None).findings;
    assert!(findings.contains(&Finding::Misplaced { number: 30, line: 32 }), "{findings:?}");
}

/// An export that was cut off anywhere is not taken for whole; one whose end was forged is found out by the checkpoint that the
/// customer kept.
#[test]
fn a_truncated_export_is_named() {
    let chain = Chain::of(50);
    let lines = chain.export();
    for kept in 1..lines.len() {
        let findings = verify(&lines[..kept], None).findings;
        assert!(findings.iter().any(|f| matches!(f, Finding::CutOff { after, .. } if *after == kept as u64 - 1)));
    }
    let mut missing = lines.clone();
    missing.drain(41..51);
    let findings = verify(&missing, None).findings;
    assert!(findings.iter().any(|finding| matches!(finding, Finding::CutOff { after: 40, .. })), "{findings:?}");
    // Somebody with the signing key cuts the chain itself.
    let cut = Chain::of(40).export();
    assert!(verify(&cut, None).is_good());
    let findings = verify(&cut, Some(chain.checkpoint())).findings;
    assert!(findings.iter().any(|finding| matches!(finding, Finding::CutOff { after: 40, .. })), "{findings:?}");
}

/// Whoever writes everything anew from a change on is found out by the chain's own checkpoints; whoever signs those anew, by the
/// key; and whoever has the key, by the checkpoint that the customer kept.
#[test]
fn a_rewritten_history_is_found_out() {
    let kept = Chain::of(50).checkpoint();
    let mut rewritten = Chain::of(60);
    rewritten.events[10].actor = "bob".to_owned();
    rewritten.follow_through(10);
    let findings = verify(&rewritten.export(), None).findings;
    let by = |event| Finding::Rewritten { number: event - 1, place: Place::Event(event) };
    assert_eq!(findings, [by(20), by(40), by(60)]);

    let mut forged = Chain::new(2);
    for event in Chain::of(60).events {
        forged.push(&event.event, event.details);
    }
    let findings = verify(&forged.export(), Some(kept.clone())).findings;
    assert!(
        findings.iter().any(|finding| matches!(finding, Finding::OtherKey { place: Place::End, .. })),
        "{findings:?}"
    );

    let mut resigned = Chain::new(1);
    for n in 0..60 {
        resigned.push("app.upserted", vec![("app".to_owned(), format!("other-{n}"))]);
    }
    assert!(verify(&resigned.export(), None).is_good(), "the key's holder can write a history");
    let findings = verify(&resigned.export(), Some(kept)).findings;
    assert_eq!(findings, [Finding::Rewritten { number: 50, place: Place::Kept }]);
}

/// Each look catches what no other does: left out, its tampering goes unseen.
#[test]
fn each_look_is_needed() {
    let whole = Chain::of(50);
    // Of content: a detail changed, hash and all after it left as they are; a checkpoint that was kept from before.
    let mut altered = whole.export();
    altered[45] = altered[45].replace("app-45", "app-99");
    // Of a link: two histories joined, each event whole in itself, after the last checkpoint but the closing one.
    let mut joined = Chain::of(45);
    joined.events[44].previous = "11".repeat(32);
    joined.events[44].hash = hex::encode(joined.events[44].expected_hash(&joined.name).unwrap());
    // Of signatures.
    let mut unsigned = whole.export();
    let last = unsigned.pop().unwrap();
    let Line::End(mut end) = Line::read(&last).unwrap() else { panic!("{last}") };
    end.checkpoint.signature = "00".repeat(64);
    unsigned.push(Line::End(end).write());
    // Of the end.
    let mut cut = whole.export();
    cut.truncate(46);
    // Of the form.
    let mut formed = whole.export();
    formed[45] = formed[45].replacen("\"actor\":", "\"actor\": ", 1);
    // Of the beginning.
    let front = cut_at_the_front(&whole.export(), 30);
    let cases = [
        (Look::Content, altered, None),
        (Look::Link, joined.export(), None),
        (Look::Signature, unsigned, None),
        (Look::End, cut, None),
        (Look::Kept, Chain::of(40).export(), Some(whole.checkpoint())),
        (Look::Form, formed, None),
        (Look::Beginning, front, None),
    ];
    for (look, lines, kept) in cases {
        assert!(!verify(&lines, kept.clone()).is_good(), "{look:?}: not noticed");
        let findings = verify_without(Some(look), &lines, kept).findings;
        assert!(findings.is_empty(), "{look:?} is not what notices it: {findings:?}");
    }
    // Links notice a changed order as well; which event it is, only numbers tell.
    let mut swapped = whole.export();
    swapped.swap(45, 46);
    let misplaced = Finding::Misplaced { number: 45, line: 47 };
    assert!(!verify_without(Some(Look::Order), &swapped, None).findings.contains(&misplaced));
    assert_eq!(verify(&swapped, None).findings, [misplaced]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// One byte changed anywhere in an export never goes unseen.
    #[test]
    fn one_changed_byte_is_always_found(place in 0usize..1_000_000, flip in 1u8..=255) {
        let text = Chain::of(25).export().join("\n") + "\n";
        let mut bytes = text.into_bytes();
        let place = place % bytes.len();
        bytes[place] ^= flip;
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        // The last line end alone says nothing: without it every line is still there.
        prop_assume!(lines.len() > 1 && (place + 1 < bytes.len()));
        prop_assert!(!verify_bytes(&lines).is_good(), "byte {place} ^ {flip}");
    }

    /// Any events dropped, moved or doubled are found.
    #[test]
    fn moved_lines_are_always_found(from in 1usize..=60, to in 1usize..=60, drop in 0usize..4, double in any::<bool>()) {
        let lines = Chain::of(60).export();
        let mut moved = lines.clone();
        let taken: Range<usize> = from..(from + drop).min(61);
        if double {
            moved.insert(to, lines[from].clone());
        } else if drop > 0 {
            moved.drain(taken);
        } else {
            let line = moved.remove(from);
            moved.insert(to, line);
        }
        prop_assert_eq!(verify(&moved, None).is_good(), moved == lines);
    }
}
