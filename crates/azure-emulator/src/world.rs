//! Everything the emulator knows, behind one lock, and written to the state directory when it changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::calls::Calls;
use crate::entra::code::Codes;
use crate::entra::directory::{App, Tenant};
use crate::environment::{EmulatorClock, Randomness};
use crate::faults::Faults;
use crate::jwt::Signer;
use crate::keyvault::vault::Vault;
use crate::limits::Window;
use crate::state_dir::{NotKept, StateDir};

/// What survives a restart.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) apps: Vec<App>,
    pub(crate) vaults: Vec<Vault>,
    /// Vaults and directory see callers come from here instead of from loopback.
    pub(crate) seen_as: Option<SeenAs>,
    /// Shortest and longest life of an access token, in seconds.
    pub(crate) token_life: TokenLife,
    /// Identifiers drawn from a seed so far.
    #[serde(default)]
    pub(crate) drawn: u64,
}

/// Where vaults believe a caller to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenAs {
    /// The address in `x-ms-keyvault-network-info` and for firewall rules.
    pub address: IpAddr,
    /// The caller comes through a private endpoint.
    #[serde(default)]
    pub private: bool,
}

/// How long access tokens live: drawn evenly from the range, as Entra ID does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLife {
    /// Seconds.
    pub shortest: u32,
    /// Seconds; not below `shortest`.
    pub longest: u32,
}

impl Default for TokenLife {
    /// 60 to 90 minutes.
    fn default() -> Self {
        Self { shortest: 3_600, longest: 5_400 }
    }
}

impl State {
    pub(crate) fn tenant(&self, id_or_domain: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|t| t.answers_to(id_or_domain))
    }

    pub(crate) fn app(&self, client_id: &str) -> Option<&App> {
        self.apps.iter().find(|a| a.client_id.eq_ignore_ascii_case(client_id))
    }

    pub(crate) fn vault(&self, host: &str) -> Option<&Vault> {
        self.vaults.iter().find(|v| v.host().eq_ignore_ascii_case(host))
    }

    pub(crate) fn vault_mut(&mut self, host: &str) -> Option<&mut Vault> {
        self.vaults.iter_mut().find(|v| v.host().eq_ignore_ascii_case(host))
    }
}

/// Shared by the listener and all handles.
pub(crate) struct World {
    state: Mutex<State>,
    dir: Option<StateDir>,
    not_kept: Mutex<Option<String>>,
    pub(crate) signer: Signer,
    pub(crate) clock: Arc<dyn EmulatorClock>,
    pub(crate) random: Randomness,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
    pub(crate) usage: Mutex<HashMap<String, Window>>,
    /// `client id ‖ jti` of assertions seen, with their expiry in Unix seconds.
    pub(crate) assertions_seen: Mutex<HashMap<String, i64>>,
    /// Authorisation codes given out. They do not survive a restart.
    pub(crate) codes: Codes,
}

impl World {
    pub(crate) fn new(
        state: State,
        dir: Option<StateDir>,
        signer: Signer,
        clock: Arc<dyn EmulatorClock>,
        random: Randomness,
    ) -> Self {
        Self {
            state: Mutex::new(state),
            dir,
            not_kept: Mutex::default(),
            signer,
            clock,
            random,
            faults: Faults::default(),
            calls: Calls::default(),
            usage: Mutex::default(),
            assertions_seen: Mutex::default(),
            codes: Codes::default(),
        }
    }

    pub(crate) fn read<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.lock())
    }

    /// Changes the state and keeps it. When it cannot be kept, [`World::not_kept`] says so and every further vault
    /// answer is a 500: an emulator that forgets would make a drill lie.
    pub(crate) fn change<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = f(&mut state);
        state.drawn = self.random.drawn();
        if let Some(dir) = &self.dir
            && let Err(error) = dir.keep(&state)
        {
            self.note_not_kept(&error);
        }
        answer
    }

    fn note_not_kept(&self, error: &NotKept) {
        tracing::error!(%error, "the state directory did not take a change");
        *self.not_kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    pub(crate) fn not_kept(&self) -> Option<String> {
        self.not_kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn micros(&self) -> i64 {
        self.clock.unix_micros()
    }

    /// Unix seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.micros().div_euclid(1_000_000)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
