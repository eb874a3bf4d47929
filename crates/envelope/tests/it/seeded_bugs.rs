//! Every check has a bug that it catches: the second implementation with one rule left out must break the promise that
//! the rule is there for, and must disagree with the frozen vectors.

use crate::frozen_vectors::disagreements;
use crate::support::implementation::Ours;
use crate::support::oracle::{CORRECT, Oracle};
use crate::support::promises::broken;

const BUGS: [(Oracle, &str); 13] = [
    (Oracle { compares_commitment: false, ..CORRECT }, "a ciphertext opens under one key only"),
    (Oracle { compares_whole_commitment: false, ..CORRECT }, "half a commitment is not enough"),
    (Oracle { prefixes_lengths: false, ..CORRECT }, "moving a border between two names does not open it"),
    (Oracle { binds_header: false, ..CORRECT }, "another data key id does not open it"),
    (Oracle { binds_workspace: false, ..CORRECT }, "another workspace does not open it"),
    (Oracle { binds_app: false, ..CORRECT }, "another app does not open it"),
    (Oracle { binds_protection: false, ..CORRECT }, "another protection does not open it"),
    (Oracle { binds_context: false, ..CORRECT }, "another context does not open it"),
    (Oracle { marks_last_segment: false, ..CORRECT }, "a stream that is cut at a segment's end is refused"),
    (Oracle { numbers_segments: false, ..CORRECT }, "a stream whose segments are reordered is refused"),
    (Oracle { refuses_empty_tail: false, ..CORRECT }, "an empty last segment is refused, unless it is alone"),
    (Oracle { opens_with_tag: false, ..CORRECT }, "a damaged opening tag is refused"),
    (Oracle { compares_commitment: false, binds_context: false, ..CORRECT }, "another context does not open it"),
];

#[test]
fn the_envelope_keeps_every_promise() {
    assert_eq!(broken(&Ours), Vec::<&str>::new());
}

#[test]
fn the_second_implementation_keeps_every_promise() {
    assert_eq!(broken(&CORRECT), Vec::<&str>::new());
}

#[test]
fn every_rule_left_out_breaks_the_promise_it_is_there_for() {
    for (bug, promise) in BUGS {
        let broken = broken(&bug);
        assert!(broken.contains(&promise), "{bug:?} breaks {broken:?}");
    }
}

#[test]
fn every_rule_left_out_disagrees_with_the_frozen_vectors() {
    for (bug, promise) in BUGS {
        assert!(!disagreements(&bug).is_empty(), "no vector notices the bug against: {promise}");
    }
}
