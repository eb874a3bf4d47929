//! The walk: each step does one thing over gRPC, checks what came of it, and says so.
//!
//! A step that finds something else than it should is a failed step; nothing is taken for granted because a call returned.

mod another;
mod connect;
mod data;
mod date;
mod ledger;
mod rotate;
mod setup;
mod stored;
mod switch;
mod usage;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use client::{Client, Refused, pb};
use domain::Clock;

use self::another::Another;
use super::azure::{Azure, CUSTOMER, CustomerKey};
use super::home::Home;
use super::screen::Screen;
use crate::clock::SystemClock;
use crate::trouble::Trouble;

/// The sample's app and bot.
pub(super) const APP: &str = "orders";
pub(super) const BOT: &str = "support-bot";
/// The sample's lease: short, so that a key that is switched off stops things while somebody watches.
const LEASE: Duration = Duration::from_secs(2);
/// How often the walk looks whether something has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// No step takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a step shows, in a line or two.
type Finding = Result<String, Trouble>;

/// What the steps learn and hand on.
struct Walk<'a> {
    client: Client,
    /// Somebody else, who approves.
    second: Client,
    azure: &'a Azure,
    /// Where our pages for browsers are.
    pages: SocketAddr,
    home: &'a Home,
    /// Whether the data is that of an earlier start.
    before: bool,
    tenant: String,
    key: Option<CustomerKey>,
    sealed: Bytes,
    /// What was encrypted before the date, if that has not come in an earlier start.
    early: Option<Bytes>,
    /// Another customer, who goes over to another vault, and leaves.
    another: Option<Another>,
}

/// Runs every step, in order, up to the first that fails. Whether all ran.
pub(super) async fn walk(
    (client, second): (Client, Client),
    azure: &Azure,
    pages: SocketAddr,
    home: &Home,
    screen: &mut Screen,
) -> bool {
    let (tenant, sealed) = (String::new(), Bytes::new());
    let mut walk = Walk {
        client,
        second,
        azure,
        pages,
        home,
        before: false,
        tenant,
        key: None,
        sealed,
        early: None,
        another: None,
    };
    macro_rules! steps {
        ($($part:literal { $($title:literal => $step:ident,)* })*) => {$(
            screen.part($part);
            $(
                let started = SystemClock.now();
                let finding = tokio::time::timeout(PATIENCE, walk.$step()).await.unwrap_or_else(|_| {
                    let what = format!("the step did not end within {} s", PATIENCE.as_secs());
                    Err(Trouble::new(what, "look at the log above; if there is nothing, please report it"))
                });
                screen.step($title, SystemClock.now().since(started), &finding);
                if finding.is_err() {
                    return false;
                }
            )*
        )*};
    }
    steps! {
        "The customer brings a key" {
            "A workspace: a customer of the platform" => workspace,
            "An app and a bot" => apps,
            "The customer's directory is looked up" => looked_up,
            "Consent and sign-in: the directory is the customer's" => consented,
            "The customer's vault and key" => vault_and_key,
            "The role: without it nothing works" => role,
            "The key is configured" => configure,
            "Wrap and unwrap: the proof" => proof,
            "The configuration is tested, step by step" => tested,
        }
        "From a date on it is used" {
            "Until its date the platform's key protects" => before_the_date,
            "The apps and bots are chosen, and watched" => select,
            "The date is set" => schedule,
            "Another customer does the same" => another_customer,
            "The date comes" => enforced,
        }
        "Data" {
            "Encrypt" => encrypt,
            "Decrypt" => decrypt,
            "A batch: one bad item fails alone" => batch,
            "A stream" => stream,
            "A ciphertext moved to another app is refused" => moved,
            "Validation: a stored credential comes back" => validated,
        }
        "Whose key it is" {
            "The customer switches the key off" => switched_off,
            "The customer switches the key on again" => switched_on,
            "The platform's own switch" => local_switch,
        }
        "A new version" {
            "A new version of the key: what a rotation would take" => plan_rotation,
            "The key is rotated" => rotate,
        }
        "What is stored" {
            "Usage: what was sealed and opened" => counted,
            "Coverage: which data keys hold what" => covered,
            "Inspect: what a stored ciphertext says of itself" => inspected,
            "Re-encrypt: old data comes over" => re_encrypted,
            "The ledger: what was done, provably" => proved,
        }
        "What needs a second person" {
            "Replacement: a key in another vault" => replaced,
            "Leaving: back to the platform's key" => left,
            "Destruction: a data key is gone for good" => destroyed,
        }
    }
    true
}

impl Walk<'_> {
    fn key(&self) -> Result<&CustomerKey, Trouble> {
        self.key.as_ref().ok_or_else(|| unexpected("the step before this one found no key"))
    }

    fn key_name(&self) -> String {
        format!("workspaces/{CUSTOMER}/key")
    }
}

fn workspace() -> String {
    format!("workspaces/{CUSTOMER}")
}

fn app(id: &str) -> String {
    format!("workspaces/{CUSTOMER}/apps/{id}")
}

fn order() -> HashMap<String, String> {
    HashMap::from([("order".to_owned(), "42".to_owned())])
}

/// What the service answered is not what it should have.
fn unexpected(what: impl std::fmt::Display) -> Trouble {
    Trouble::new(what, "this is a fault of byokd: please report it")
}

fn check(holds: bool, otherwise: impl std::fmt::Display) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(unexpected(otherwise)) }
}

/// A refusal for exactly this reason is what the step wants; anything else is a failure.
fn refused<T>(outcome: Result<T, client::Error>, because: pb::Reason) -> Result<Refused, Trouble> {
    match outcome {
        Ok(_) => Err(unexpected(format_args!("nothing was refused, where {} belongs", because.as_str_name()))),
        Err(client::Error::Refused(refused)) if refused.known_reason() == Some(because) => {
            check(!refused.remedy.is_empty(), "the refusal has no remedy")?;
            Ok(*refused)
        }
        Err(error) => Err(error.into()),
    }
}

impl From<client::Error> for Trouble {
    fn from(error: client::Error) -> Self {
        let hint = error.refused().map(|refused| format!("{} [{}]", refused.remedy, refused.reason));
        Self::new(&error, hint.unwrap_or_else(|| "look at the log above".into()))
    }
}

impl From<client::StreamError> for Trouble {
    fn from(error: client::StreamError) -> Self {
        match error {
            client::StreamError::Call(error) => error.into(),
            client::StreamError::Read(_) | client::StreamError::Write(_) => unexpected(error),
        }
    }
}
