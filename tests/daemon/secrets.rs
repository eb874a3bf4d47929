//! No line of the log and no figure holds a payload, a data key or a token, in any spelling; no answer gives one back as what is wrong.

use std::io::Write;
use std::sync::{Arc, Mutex};

use api::byok::v1 as pb;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use byokd::telemetry::{self, Format};
use domain::Entropy;
use tracing_subscriber::fmt::MakeWriter;
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

use crate::permissions::any_call::Place;
use crate::site::{Panicking, Site, TOKEN, decrypt, encrypt};
use crate::{canaries, figures};

const PAYLOAD: &[u8] = b"canary-payload-4e1b90aa7d";
const CONTEXT: &str = "canary-context-77a0c1";

/// The log, kept.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Remembers what may have become a key.
#[derive(Default)]
struct Remembering(Mutex<Vec<[u8; 32]>>);

impl Entropy for Remembering {
    fn fill(&self, out: &mut [u8]) {
        byokd::entropy::SystemEntropy.fill(out);
        if let Ok(key) = <[u8; 32]>::try_from(&*out) {
            self.0.lock().unwrap().push(key);
        }
    }
}

/// The spellings of a secret a log could hold: raw, hexadecimal, as a list of numbers, and base64 at each of its three offsets.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut spellings = vec![secret.to_vec(), hex::encode(secret).into(), hex::encode_upper(secret).into()];
    let list = format!("{secret:?}");
    spellings.push(list.trim_matches(['[', ']']).as_bytes().to_vec());
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], secret].concat();
        // Whole groups only, less the first that holds the shift.
        let encoded = STANDARD_NO_PAD.encode(&shifted[..shifted.len() / 3 * 3]);
        spellings.push(encoded.as_bytes()[if shift == 0 { 0 } else { 4 }..].to_vec());
    }
    spellings
}

fn holds(log: &[u8], secret: &[u8]) -> bool {
    spellings(secret).iter().any(|spelling| log.windows(spelling.len()).any(|window| window == spelling))
}

/// Everything that can be asked, well and badly, at the finest level: the log and the figures tell of it and give nothing away.
#[tokio::test]
async fn no_secret_is_in_the_log() {
    let log = Log::default();
    let subscriber = telemetry::subscriber(Format::Json, tracing::Level::TRACE, log.clone());
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets the log");
    telemetry::log_panics();
    let entropy = Arc::new(Remembering::default());
    // From here on everything in this process is counted, other tests' doings too.
    let counted = byokd::figures::install().expect("no other test counts for the whole process");
    let (listener, address) = figures::place();
    let dress = |daemon: byokd::wire::Daemon| daemon.with_metrics(listener, counted);
    let site = Site::dressed(Vec::new(), |assembly| assembly.entropy = entropy.clone(), dress).await;
    site.acme().await;
    site.under_customer_key().await;
    let mut data = site.encryption().await;
    let context: std::collections::HashMap<_, _> = [("c".to_owned(), CONTEXT.to_owned())].into();
    let request = pb::EncryptRequest { context: context.clone(), ..encrypt(PAYLOAD) };
    let sealed = data.encrypt(request).await.unwrap().into_inner().ciphertext;
    let opened = data.decrypt(pb::DecryptRequest { context, ..decrypt(sealed.clone()) }).await.unwrap().into_inner();
    assert_eq!(&opened.plaintext[..], PAYLOAD);
    // And what goes wrong: a payload where a name or a ciphertext belongs, a token nobody has, a vault that refuses.
    let name = String::from_utf8(PAYLOAD.to_vec()).unwrap();
    data.encrypt(pb::EncryptRequest { app: name, ..encrypt(PAYLOAD) }).await.unwrap_err();
    data.decrypt(decrypt(PAYLOAD)).await.unwrap_err();
    data.decrypt(decrypt(sealed)).await.unwrap_err();
    let stranger = "canary-token-of-a-stranger";
    let mut nobody = pb::encryption_client::EncryptionClient::new(site.with_token(stranger).await);
    nobody.encrypt(encrypt(PAYLOAD)).await.unwrap_err();
    site.vault.fail(Operation::Wrap, Fault::Refuse(KeyUnavailable::Denied(Trace::of_vault(Some("v-1")))));
    let other = pb::EncryptRequest { app: "workspaces/acme/apps/other-app".into(), ..encrypt(PAYLOAD) };
    data.encrypt(other).await.unwrap_err();
    // And a panic that quotes what it was working on.
    let panicking = Site::with(|assembly| {
        let inner = vault::memory::MemoryKeys::new(assembly.clock.clone());
        assembly.customer_keys = Arc::new(Panicking(inner, String::from_utf8(PAYLOAD.to_vec()).unwrap()));
    })
    .await;
    panicking.acme().await;
    panicking.keys().await.configure_key(Site::configure()).await.unwrap_err();

    // And a canary in every field of every call there is.
    let place = Place { workspace: "acme", app: "support-bot", operation: "0".repeat(32) };
    let (calls, told) = canaries::everywhere(&site.client().await, &place).await;
    // From here on a panic is this test's own, and says what it found.
    drop(std::panic::take_hook());
    assert!(told.is_empty(), "answered with the canary: {told:?}");

    let figures = figures::read(&address).await;
    for counted in ["byokd_requests_refused_total", "byokd_vault_calls_total", "byokd_store_revision"] {
        assert!(figures.contains(counted), "{counted} is not told: {figures}");
    }

    let log = log.0.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&log);
    for told in ["VAULT_DENIED", "UNAUTHENTICATED", "DECRYPTION_FAILED", "a panic was caught", "(withheld)"] {
        assert!(text.contains(told), "the log does not tell of {told}:\n{text}");
    }
    let keys = entropy.0.lock().unwrap().clone();
    assert!(!keys.is_empty(), "no key was drawn through the seam");
    assert!(calls > 100, "{calls} calls with a canary: the contract was not walked");
    let mark = canaries::MARK.as_bytes();
    let secrets = [PAYLOAD, TOKEN.as_bytes(), stranger.as_bytes(), CONTEXT.as_bytes(), mark];
    for secret in secrets.into_iter().chain(keys.iter().map(|key| &key[..])) {
        assert!(!holds(&log, secret), "{:?} is in the log", String::from_utf8_lossy(secret));
        assert!(!holds(figures.as_bytes(), secret), "{:?} is in the figures", String::from_utf8_lossy(secret));
    }
}

/// The search above finds each spelling it is meant to find.
#[test]
fn the_search_finds_every_spelling() {
    let secret = b"canary-payload";
    for shift in 0..3 {
        let around = [&b"xyz"[..shift], secret, b"tail"].concat();
        assert!(holds(format!("..{}..", STANDARD_NO_PAD.encode(around)).as_bytes(), secret), "shifted by {shift}");
    }
    for line in [hex::encode(secret), format!("Bytes({secret:?})"), String::from_utf8(secret.to_vec()).unwrap()] {
        assert!(holds(line.as_bytes(), secret), "{line}");
    }
    assert!(!holds(b"nothing of the kind", secret));
}
