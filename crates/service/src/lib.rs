//! The use cases, one verb a file, and the memory of open data keys they share.
//!
//! | module | what is in it |
//! |---|---|
//! | `data` | encrypt, decrypt, batches, streams, re-encrypt |
//! | `control` | workspaces, apps and bots, the customer's key, the export of wrapped keys |
//! | `keys` | open data keys: the table, the leases, single flight, creation, unwrapping |
//! | `tasks` | what runs by itself: probes, the feed of changes, operations, the look for new key versions |
//! | [`refusal`] | the one outward error |
//!
//! Absent on purpose: gRPC, HTTP, SQL and everything of Azure. Time and randomness come in as parts.

pub mod control;
pub mod data;
pub mod figures;
pub mod options;
pub mod refusal;
pub mod service;

#[cfg(feature = "measure")]
pub mod measure;

mod core;
mod keys;
mod seeded_bug;
mod tasks;

pub use control::{
    AddSecret, AppCoverage, AppPage, Beginning, CallerPage, ConfigureKey, Configured, ConnectionStatus, ConsentAnswer,
    ConsentStarted, CoveragePage, CreateCaller, CredentialTest, CredentialWarning, DataKeyCoverage, EventPage,
    ExportPages, IssuedToken, KeyHealth, KeyStatus, KeyWarning, Leaving, LedgerPage, LedgerPages, ListedCaller,
    LookedUp, MadeHere, MakeCertificate, OWNERSHIP_TAG, Obstacle, OperationPage, Ownership, Proven, ReadUsage,
    ReplaceKey, ReplacementStarted, RotateDataKeys, RotateKey, RotationStarted, ScheduleEnforcement, Selected,
    SelectedApp, SelectionState, SelectionWatch, SignInAnswer, Stage, Started, StillNeeded, TenantStatus,
    TestConfiguration, TestEvent, TestRun, UpdateCaller, UsagePage, Validation, VersionInUse, WhatNext, WorkspacePage,
    WrappedKey, consent_of,
};
pub use data::{BatchSealed, DecryptStream, EncryptStream, ItemToOpen, ItemToSeal, Opened, ReEncrypted, Sealed};
pub use keys::control::LATE as LONGEST_NAP;
pub use keys::reseal::reseal_wrapping;
pub use options::Options;
pub use refusal::Refusal;
pub use seeded_bug::SeededBug;
pub use service::{Parts, Service, StartFailed};
pub use tasks::expiry::PlatformCertificate;
