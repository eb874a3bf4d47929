//! The authenticated data is canonical: every binding has one, and no two have the same.

use proptest::prelude::*;

use crate::support::implementation::Bound;
use crate::support::oracle::CORRECT;

/// Reads authenticated data back. That this is possible for every binding proves that no two give the same bytes; that
/// the envelope makes these very bytes is what the second implementation agrees on.
fn read_back(aad: &[u8]) -> Option<(Vec<u8>, Bound)> {
    let mut rest = aad;
    let mut take = |length: usize| -> Option<&[u8]> {
        let (head, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(head)
    };
    let length = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap()) as usize;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let n = length(take(4)?);
    (take(n)? == b"byokd/aad/v1").then_some(())?;
    let header = take(48)?.to_vec();
    let n = length(take(4)?);
    let workspace = text(take(n)?);
    let n = length(take(4)?);
    let app = text(take(n)?);
    let protection = take(1)?[0];
    let entries = take(1)?[0];
    let mut context = std::collections::BTreeMap::new();
    for _ in 0..entries {
        let n = length(take(4)?);
        let key = text(take(n)?);
        let n = length(take(4)?);
        let value = text(take(n)?);
        context.insert(key, value);
    }
    rest.is_empty().then_some((header, Bound { workspace, app, protection, context }))
}

proptest! {
    #[test]
    fn authenticated_data_reads_back_to_the_one_binding_it_was_made_of(
        header in prop::collection::vec(any::<u8>(), 48),
        workspace in ".{0,20}",
        app in ".{0,20}",
        protection in any::<u8>(),
        context in prop::collection::btree_map(".{1,10}", ".{0,10}", 0..16),
    ) {
        let bound = Bound { workspace, app, protection, context };
        prop_assert_eq!(read_back(&CORRECT.aad(&header, &bound)), Some((header, bound)));
    }
}
