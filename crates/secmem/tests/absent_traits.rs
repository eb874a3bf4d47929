//! A secret offers nothing that would print, copy, compare or hand it out whole.

use std::{
    fmt::{Debug, Display},
    hash::Hash,
    marker::PhantomData,
    ops::Deref,
};

use secmem::{Locked, Secret};

/// Whether a concrete type has a trait: the inherent constant exists only then, and hides the other one.
macro_rules! has {
    ($type:ty: $($bound:tt)+) => {{
        struct Probe<T>(PhantomData<T>);
        #[allow(dead_code)]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T> Otherwise for Probe<T> {}
        #[allow(dead_code)]
        impl<T: $($bound)+> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

#[test]
fn a_secret_cannot_be_printed_copied_compared_or_dereferenced() {
    const {
        assert!(!has!(Secret<32>: Clone));
        assert!(!has!(Secret<32>: Copy));
        assert!(!has!(Secret<32>: Debug));
        assert!(!has!(Secret<32>: Display));
        assert!(!has!(Secret<32>: PartialEq));
        assert!(!has!(Secret<32>: PartialOrd));
        assert!(!has!(Secret<32>: Hash));
        assert!(!has!(Secret<32>: Default));
        assert!(!has!(Secret<32>: Deref));
        assert!(!has!(Locked<u8>: Clone));
        assert!(!has!(Locked<u8>: Debug));
        assert!(!has!(Locked<u8>: PartialEq));
        assert!(!has!(Locked<u8>: Deref));
        assert!(!has!(Secret<32>: AsRef<[u8]>));
        assert!(!has!(Secret<32>: AsRef<[u8; 32]>));
        assert!(!has!(Secret<32>: Into<[u8; 32]>));
    }
}

#[test]
fn a_secret_may_change_and_be_shared_between_threads() {
    const { assert!(has!(Secret<32>: Send + Sync + 'static)) }
}

/// The probe sees a trait that is there.
#[test]
fn a_type_that_has_the_traits_is_found_out() {
    const {
        assert!(has!([u8; 32]: Clone));
        assert!(has!([u8; 32]: Debug));
        assert!(has!([u8; 32]: PartialEq));
        assert!(has!([u8; 32]: AsRef<[u8]>));
        assert!(has!(Box<[u8; 32]>: Deref));
    }
}
