//! Which consents are under way, and what each has been given out: a ticket, states, a nonce, a code.
//!
//! They live in memory only, for a quarter of an hour. What a browser brings back is kept as its hash, so that a look into this memory
//! forges no answer; PKCE's verifier and the nonce have to be said again to the directory, which a hash cannot, and are wiped with
//! the consent. Nothing of it is worth a row: a process that ends takes a few unfinished consents with it, and a flood of forged answers
//! writes nothing.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::entropy::random;
use domain::{Cloud, Entropy, Reason, TenantId, Timestamp, WorkspaceId};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::keys::lock;
use crate::seeded_bug::{Bugs, SeededBug};

/// How long a consent may take from its beginning to its end.
pub(super) const LIVES: Duration = Duration::from_secs(15 * 60);
/// How many of one workspace's are under way; the oldest gives way.
const MOST_OF_ONE: usize = 5;
/// How many are under way in all.
const MOST: usize = 10_000;
/// After so many wrong codes it has to be begun anew.
const MOST_TRIES: u8 = 5;
/// Letters that are not mistaken for each other, read aloud or written down; without vowels they spell nothing.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE: usize = 8;

/// A text that is given out once: what is kept of it.
#[derive(Clone, Copy)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// 256 random bits as they stand in an address.
pub(super) fn secret(entropy: &dyn Entropy) -> String {
    URL_SAFE_NO_PAD.encode(random::<32>(entropy))
}

/// Whether a text is one that [`secret`] may have made.
pub(super) fn is_secret(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What a verifier is asked with: RFC 7636, S256.
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// For whom a consent is.
#[derive(Clone)]
pub(super) struct For {
    pub(super) workspace: WorkspaceId,
    pub(super) cloud: Cloud,
    pub(super) tenant: TenantId,
    /// Since when the directory was named as it began: a disconnection in between, and whatever came after it, is told by that.
    pub(super) named_at: Timestamp,
}

/// Which consent. Its browser's cookie is named after it, and the states that come back to that browser begin with it, so that each answer
/// finds its own consent's cookie, however many the browser has. No secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ConsentId([u8; 8]);

impl std::fmt::Display for ConsentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", hex::encode(self.0))
    }
}

impl ConsentId {
    /// A state that comes back to this consent's browser.
    fn state(self, entropy: &dyn Entropy) -> String {
        format!("{self}.{}", secret(entropy))
    }
}

/// After which consent the cookie is named that belongs to this state: 16 hexadecimal digits. `None`: it needs no cookie, or is none of ours.
pub fn consent_of(state: &str) -> Option<&str> {
    let (id, _) = state.split_once('.')?;
    let digits = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (id.len() == 16 && digits).then_some(id)
}

/// What has to be said again when the code of a sign-in is redeemed.
pub(super) struct Asked {
    pub(super) nonce: Zeroizing<String>,
    pub(super) verifier: Zeroizing<String>,
}

struct Consent {
    id: ConsentId,
    of: For,
    /// By the clock that stands still for nobody.
    ends: Duration,
    ticket: Option<Hash>,
    session: Option<Hash>,
    owner: Option<Hash>,
    forwarded: Option<Hash>,
    sign_in: Option<(Hash, Asked)>,
    code: Option<[u8; CODE]>,
    tries: u8,
    came_back: bool,
}

/// Who came back from consent.
pub(super) enum Back {
    /// The browser that began it.
    Owner(ConsentId, For),
    /// Somebody to whom the address was sent.
    Another(ConsentId, For),
}

/// What an owner's browser is given that showed its ticket.
pub(super) struct Opened {
    pub(super) id: ConsentId,
    pub(super) of: For,
    pub(super) session: String,
    /// The state that its answer from consent needs.
    pub(super) state: String,
    /// Whether somebody has come back already, so that only the sign-in is left.
    pub(super) came_back: bool,
}

/// Why an answer counts for nothing; with the consent that it was about, where there is one.
pub(super) struct Refused {
    pub(super) why: Reason,
    pub(super) of: Option<For>,
}

/// The consents under way in this process.
#[derive(Default)]
pub(crate) struct Consents {
    all: Mutex<VecDeque<Consent>>,
    bugs: Bugs,
}

impl Consents {
    pub(crate) fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    fn with<T>(&self, now: Duration, work: impl FnOnce(&mut VecDeque<Consent>) -> T) -> T {
        let mut all = lock(&self.all);
        all.retain(|consent| now < consent.ends);
        work(&mut all)
    }

    /// Begins one: the ticket that opens it in its owner's browser, and the state of the address to send to somebody else.
    pub(super) fn begin(&self, of: For, now: Duration, entropy: &dyn Entropy) -> (String, String) {
        let (ticket, forwarded) = (secret(entropy), secret(entropy));
        let consent = Consent {
            id: ConsentId(random(entropy)),
            ends: now + LIVES,
            ticket: Some(Hash::of(&ticket)),
            session: None,
            owner: None,
            forwarded: Some(Hash::of(&forwarded)),
            sign_in: None,
            code: None,
            tries: 0,
            came_back: false,
            of,
        };
        self.with(now, |all| {
            let mine = |other: &Consent| other.of.workspace == consent.of.workspace;
            if all.iter().filter(|other| mine(other)).count() >= MOST_OF_ONE
                && let Some(oldest) = all.iter().position(mine)
            {
                all.remove(oldest);
            }
            if all.len() >= MOST {
                all.pop_front();
            }
            all.push_back(consent);
        });
        (ticket, forwarded)
    }

    /// Whose a ticket is, and for whom. It stays what it was.
    pub(super) fn look(&self, ticket: &str, now: Duration) -> Option<(ConsentId, For)> {
        let shown = Hash::of(ticket);
        self.with(now, |all| {
            let found = all.iter().find(|consent| consent.ticket.is_some_and(|kept| kept.is(&shown)))?;
            Some((found.id, found.of.clone()))
        })
    }

    /// The ticket is shown, once: this browser is the owner's from now on.
    pub(super) fn open(&self, ticket: &str, now: Duration, entropy: &dyn Entropy) -> Option<Opened> {
        let shown = Hash::of(ticket);
        self.with(now, |all| {
            let found = all.iter_mut().find(|consent| consent.ticket.is_some_and(|kept| kept.is(&shown)))?;
            found.ticket = None;
            let (session, state) = (secret(entropy), found.id.state(entropy));
            (found.session, found.owner) = (Some(Hash::of(&session)), Some(Hash::of(&state)));
            Some(Opened { id: found.id, of: found.of.clone(), session, state, came_back: found.came_back })
        })
    }

    /// Who comes back from consent with this state. It counts once, and the owner's in the owner's browser alone.
    pub(super) fn back(&self, state: &str, session: Option<&str>, now: Duration) -> Result<Back, Refused> {
        let (shown, replayed) = (Hash::of(state), self.bugs.has(SeededBug::ConsentReplayed));
        let is = |kept: Option<Hash>| kept.is_some_and(|kept| kept.is(&shown));
        self.with(now, |all| {
            if let Some(found) = all.iter_mut().find(|consent| is(consent.forwarded)) {
                found.forwarded = found.forwarded.filter(|_| replayed);
                return Ok(Back::Another(found.id, found.of.clone()));
            }
            let Some(at) = all.iter().position(|consent| is(consent.owner)) else { return Err(unknown()) };
            self.same_browser(all, at, session)?;
            let found = &mut all[at];
            found.owner = found.owner.filter(|_| replayed);
            found.came_back = true;
            Ok(Back::Owner(found.id, found.of.clone()))
        })
    }

    /// A state that turns up in another browser was overheard, or sent on by mistake: its consent ends.
    fn same_browser(&self, all: &mut VecDeque<Consent>, at: usize, session: Option<&str>) -> Result<(), Refused> {
        let kept = all[at].session;
        let same = session.zip(kept).is_some_and(|(shown, kept)| kept.is(&Hash::of(shown)));
        if same || self.bugs.has(SeededBug::AnyBrowser) {
            return Ok(());
        }
        let of = all.remove(at).map(|consent| consent.of);
        Err(Refused { why: Reason::ConsentOtherBrowser, of })
    }

    /// What the owner's browser is sent on to sign in with: a state, a nonce and a verifier. `None`: the consent ended meanwhile.
    pub(super) fn sign_in(
        &self,
        id: ConsentId,
        now: Duration,
        entropy: &dyn Entropy,
    ) -> Option<(String, String, String)> {
        self.with(now, |all| {
            let found = all.iter_mut().find(|consent| consent.id == id)?;
            let (state, nonce, verifier) = (id.state(entropy), secret(entropy), secret(entropy));
            let asked = Asked { nonce: nonce.clone().into(), verifier: verifier.clone().into() };
            found.sign_in = Some((Hash::of(&state), asked));
            Some((state, nonce, challenge(&verifier)))
        })
    }

    /// The answer of a sign-in, in the browser that began it. It ends the consent, however it goes on.
    pub(super) fn signed_in(&self, state: &str, session: Option<&str>, now: Duration) -> Result<(For, Asked), Refused> {
        let shown = Hash::of(state);
        self.with(now, |all| {
            let is = |consent: &Consent| consent.sign_in.as_ref().is_some_and(|(kept, _)| kept.is(&shown));
            let Some(at) = all.iter().position(is) else { return Err(unknown()) };
            self.same_browser(all, at, session)?;
            let ended = all.remove(at).and_then(|consent| Some((consent.of, consent.sign_in?.1)));
            ended.ok_or_else(unknown)
        })
    }

    /// The code that somebody else than the owner is shown, of eight letters. `None`: the consent ended meanwhile.
    pub(super) fn code(&self, id: ConsentId, now: Duration, entropy: &dyn Entropy) -> Option<String> {
        let newest = self.bugs.has(SeededBug::CodeOfTheNewest);
        self.with(now, |all| {
            let is = |consent: &&mut Consent| consent.id == id || (newest && consent.forwarded.is_none());
            let found = all.iter_mut().rev().find(is)?;
            let drawn: [u8; CODE] = std::array::from_fn(|_| letter(entropy));
            (found.code, found.tries) = (Some(drawn), 0);
            let text = std::str::from_utf8(&drawn).expect("letters are ASCII");
            Some(format!("{}-{}", &text[..4], &text[4..]))
        })
    }

    /// The owner reads a code back: for which directory it was.
    pub(super) fn read_back(&self, workspace: &WorkspaceId, code: &str, now: Duration) -> Result<For, Refused> {
        let typed: Vec<u8> =
            code.bytes().filter(|b| !matches!(b, b'-' | b' ')).map(|b| b.to_ascii_uppercase()).collect();
        let any = self.bugs.has(SeededBug::AnyCode);
        self.with(now, |all| {
            let waits = |consent: &Consent| consent.of.workspace == *workspace && consent.code.is_some();
            let is = |consent: &Consent| {
                consent.code.is_some_and(|kept| typed.len() == CODE && bool::from(kept.ct_eq(&typed[..])))
            };
            if !all.iter().any(waits) {
                return Err(Refused { why: Reason::ConsentNotUnderWay, of: None });
            }
            if let Some(found) = all.iter_mut().find(|consent| waits(consent) && (any || is(consent))) {
                (found.code, found.came_back) = (None, true);
                return Ok(found.of.clone());
            }
            // A wrong code is a try at each that waits: naming several consents gives nobody more tries.
            let mut of = None;
            for consent in all.iter_mut().filter(|consent| waits(consent)) {
                consent.tries += 1;
                of = Some(consent.of.clone());
            }
            all.retain(|consent| consent.tries < MOST_TRIES);
            Err(Refused { why: Reason::ConsentCodeWrong, of })
        })
    }

    /// Ends one consent, and no other of its workspace.
    pub(super) fn end(&self, id: ConsentId, now: Duration) {
        self.with(now, |all| all.retain(|consent| consent.id != id));
    }

    /// Ends what is under way for a workspace.
    pub(super) fn end_all(&self, workspace: &WorkspaceId, now: Duration) {
        self.with(now, |all| all.retain(|consent| consent.of.workspace != *workspace));
    }
}

fn unknown() -> Refused {
    Refused { why: Reason::ConsentStateUnknown, of: None }
}

/// Each letter as likely as every other.
fn letter(entropy: &dyn Entropy) -> u8 {
    loop {
        let [byte] = random::<1>(entropy);
        // 240 is the largest multiple of 20 in a byte.
        if byte < 240 {
            return LETTERS[usize::from(byte) % LETTERS.len()];
        }
    }
}
