//! Who may depend on what. Read this table before adding a dependency; change it only together with ARCHITECTURE.md.
//!
//! `may` names the crates of this workspace that a crate may use in its own code and build script. Test code is freer: a
//! dev-dependency on any other crate of ours is allowed (a store's test may use the testkit), except where
//! [`Crate::tests_too`] is set.

/// What one crate of the workspace may use of the others.
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    pub(crate) may: May,
    /// The rule holds for dev-dependencies as well.
    pub(crate) tests_too: bool,
    pub(crate) why: &'static str,
}

/// Which other crates of the workspace.
pub(crate) enum May {
    Nothing,
    Only(&'static [&'static str]),
    AnythingBut(&'static [&'static str]),
    Anything,
}

impl May {
    pub(crate) fn allows(&self, other: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(names) => names.contains(&other),
            Self::AnythingBut(names) => !names.contains(&other),
            Self::Anything => true,
        }
    }
}

use May::{Anything, AnythingBut, Nothing, Only};

const fn rule(name: &'static str, may: May, why: &'static str) -> Crate {
    Crate { name, may, tests_too: false, why }
}

/// From the bottom up. A crate of the workspace that is missing here is itself a fault.
pub(crate) const CRATES: &[Crate] = &[
    rule("envelope", Nothing, "the ciphertext format is specified and reviewed by itself: bytes in, bytes out"),
    rule("domain", Nothing, "rules and nouns depend on nobody; everybody depends on them"),
    rule("secmem", Nothing, "the one crate with unsafe code stays small enough to read in one sitting"),
    rule(
        "outbound",
        Only(&["domain"]),
        "the way out of the process knows names and addresses, and neither vaults nor tokens",
    ),
    rule(
        "vault",
        Only(&["domain", "envelope", "outbound", "secmem"]),
        "customers' vaults and the store do not know each other",
    ),
    rule("store", Only(&["domain", "envelope", "secmem"]), "the store holds sealed blobs and never a way to open them"),
    rule(
        "identity",
        Only(&["domain", "envelope", "outbound", "secmem"]),
        "who calls is decided apart from what they ask for",
    ),
    rule(
        "service",
        Only(&["domain", "envelope", "secmem", "vault", "store", "identity"]),
        "use cases stand on seams; transports stand on them",
    ),
    rule("api", Nothing, "generated from the proto files, which are the contract with strangers"),
    rule("client", Only(&["api"]), "a client knows the contract and nothing of how the daemon keeps it"),
    rule(
        "ledger",
        Only(&["domain"]),
        "an export is verified without the service that wrote it: the rules of a chain, and nothing that stores or serves one",
    ),
    rule(
        "byokctl",
        Only(&["client", "domain", "api", "envelope", "ledger"]),
        "talks to the daemon like any other client; the envelope to show a ciphertext's public header, the ledger to verify",
    ),
    Crate {
        name: "azure-emulator",
        may: Nothing,
        tests_too: true,
        why: "a second reading of the vault's contract: code shared with our client would share its mistakes",
    },
    rule("testkit", Anything, "builds whole worlds for tests"),
    rule(
        "byokd",
        AnythingBut(&["testkit", "byokctl", "xtask"]),
        "the daemon names the concrete parts, and ships no test code",
    ),
    rule("xtask", Anything, "tests, measures and drills the others"),
];

/// An outside package (or all that start with `prefix*`) that only some crates may name as a dependency.
pub(crate) struct Reserved {
    pub(crate) packages: &'static [&'static str],
    pub(crate) for_: &'static [&'static str],
    pub(crate) why: &'static str,
}

/// Direct dependencies, without dev-dependencies.
pub(crate) const RESERVED: &[Reserved] = &[
    Reserved {
        packages: &["azure_*", "typespec*"],
        for_: &["vault"],
        why: "every weakness of the SDK is wrapped in one place; no other crate can forget a wrapping",
    },
    Reserved {
        packages: &["reqwest"],
        for_: &["outbound"],
        why: "the one way out of the process checks every address it connects to; no other crate can forget to",
    },
    Reserved {
        packages: &["rusqlite", "libsqlite3-sys", "tokio-postgres", "deadpool*", "sqlx*", "diesel*"],
        for_: &["store", "xtask"],
        why: "only the store writes SQL; xtask's checker reads a database without the store's code on purpose",
    },
    Reserved {
        packages: &["tonic*", "prost*", "protox"],
        for_: &["api", "client", "byokctl", "byokd", "testkit", "xtask"],
        why: "gRPC ends at the thin handlers",
    },
    Reserved {
        packages: &["axum*", "tower*", "hyper*", "http-body*"],
        for_: &["azure-emulator", "client", "byokd", "testkit", "xtask"],
        why: "HTTP servers and their layers belong to the listeners and the emulator",
    },
    Reserved {
        packages: &["rcgen"],
        for_: &["azure-emulator", "byokd", "testkit", "xtask"],
        why: "private certificate authorities exist for `dev`, the emulator and tests",
    },
    Reserved {
        packages: &["clap*", "indicatif", "anstream"],
        for_: &["byokctl", "byokd", "azure-emulator", "xtask"],
        why: "only programs talk to a terminal",
    },
];

/// A crate none of whose code, however far down, may reach certain packages.
pub(crate) struct Pure {
    pub(crate) name: &'static str,
    pub(crate) never: &'static [&'static str],
    pub(crate) why: &'static str,
}

const INPUT_AND_OUTPUT: &[&str] = &[
    "tokio*",
    "async-std",
    "mio",
    "socket2",
    "hyper*",
    "h2",
    "reqwest",
    "rustls",
    "tonic*",
    "prost*",
    "axum*",
    "tower*",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "tracing*",
    "log",
    "azure_*",
];

/// Holds for everything reachable through normal dependencies.
pub(crate) const PURE: &[Pure] = &[
    Pure {
        name: "domain",
        never: INPUT_AND_OUTPUT,
        why: "the domain does no input or output, and its clock is an argument",
    },
    Pure { name: "envelope", never: INPUT_AND_OUTPUT, why: "the format is a pure function" },
    Pure { name: "ledger", never: INPUT_AND_OUTPUT, why: "a verdict follows from the lines that were read alone" },
    Pure { name: "secmem", never: INPUT_AND_OUTPUT, why: "memory for keys neither logs nor talks" },
];

/// The crates that may have a lint table of their own instead of the workspace's, which forbids unsafe code.
pub(crate) const MAY_USE_UNSAFE: &[&str] = &["secmem"];

/// The daemon, the one feature that adds development code to it, and that code.
pub(crate) const DAEMON: &str = "byokd";
pub(crate) const DEVELOPMENT_FEATURE: &str = "dev";
pub(crate) const DEVELOPMENT_CRATE: &str = "azure-emulator";
pub(crate) const DEVELOPMENT_CONNECTOR: (&str, &str) = ("vault", "development-connector");
/// What the connector switches on in the crate that makes the connections.
pub(crate) const DEVELOPMENT_WAY_OUT: (&str, &str) = ("outbound", "development-connector");

/// The features of our own crates that a build of the daemon may have. Any other one exists for tests, drills or
/// measurements (seeded bugs among them), and cargo would quietly switch it on for everybody if one dependency asked.
pub(crate) const FEATURES_IN_PRODUCTION: &[(&str, &str)] = &[];
pub(crate) const FEATURES_IN_DEVELOPMENT: &[(&str, &str)] =
    &[(DAEMON, "default"), (DAEMON, DEVELOPMENT_FEATURE), DEVELOPMENT_CONNECTOR, DEVELOPMENT_WAY_OUT];

/// Whether `name` is the pattern, or starts with it when it ends in `*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}
