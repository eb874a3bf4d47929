//! Who is calling: from what a caller shows to a [`domain::permission::Caller`], or to nobody.
//!
//! What a caller *may do* is decided by `domain::permission` alone.

mod admission;
mod bounded;
mod callers;
mod certificates;
pub mod entra;
pub mod jwks;
pub mod jwt;
mod jwt_callers;
mod registry;
mod tokens;
pub mod web;

pub use admission::Admission;
pub use callers::{Callers, ConfiguredCaller, Credential, Known};
pub use certificates::{CertificateCallers, CertificateHolder, CertificateRepeated, EitherCallers, PeerNames};
pub use domain::{CertificateName, InvalidCertificateName};
pub use jwt_callers::{InvalidSubject, Issuer, IssuersRefused, JwtCallers, SubjectPattern, SubjectRule};
pub use registry::CallerRegistry;
pub use tokens::{Token, TokenCallers, TokensRefused, token_hash};
