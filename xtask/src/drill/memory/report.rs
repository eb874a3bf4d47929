//! The table: what was searched, what was found, where, why it is there, and what was left once nobody called.

use super::SETTLE;
use super::wanted::Kind;
use super::watch::Watch;
use crate::table::{Lean, Table};

/// Why something other than a key of data may be found, and for how long.
fn cause(kind: Kind) -> &'static str {
    match kind {
        Kind::DataKey | Kind::Subkey | Kind::MessageKey | Kind::PlatformKey => "a fault: these belong in locked pages",
        Kind::TlsKey => "rustls signs with it for as long as the listener serves with that certificate",
        Kind::ClientSecret => "kept to ask the directory for tokens, for the life of the process",
        Kind::AccessToken => "kept until it is renewed or rejected (60 to 90 min), and in the request's buffers",
        Kind::BearerToken => "HTTP/2's buffers and header table of a connection, until they are used again or it ends",
        Kind::WebhookSecret => "read at the start; its hash is kept",
        Kind::Context => "the request's and the connection's buffers",
        Kind::Plaintext => "the request's, answer's and connection's buffers",
    }
}

pub(crate) fn print(watch: &Watch) {
    let tally = &watch.tally;
    println!("{} (looks: {}, core images: {})", watch.name, tally.looks, tally.images);
    let left = format!("left after {} s", SETTLE.as_secs());
    let mut table = Table::new(&[
        ("secret", Lean::Left),
        ("known", Lean::Right),
        ("forms", Lean::Right),
        ("where", Lean::Left),
        ("most hits", Lean::Right),
        ("after steps", Lean::Right),
        (&left, Lean::Right),
        ("forms found", Lean::Left),
        ("why", Lean::Left),
    ]);
    for kind in Kind::ALL {
        let (secrets, forms) = watch.wanted.count(kind);
        if secrets == 0 {
            continue;
        }
        let (secrets, forms) = (secrets.to_string(), forms.to_string());
        let mut found = tally.found.iter().filter(|((of, _), found)| *of == kind && found.most > 0).peekable();
        if found.peek().is_none() {
            table.row([kind.name(), &secrets, &forms, "nowhere", "0", "0", "0", "", ""]);
        }
        for ((_, place), found) in found {
            let spelled = found.forms.iter().copied().collect::<Vec<_>>().join(", ");
            table.row([
                kind.name().to_owned(),
                secrets.clone(),
                forms.clone(),
                place.to_string(),
                found.most.to_string(),
                found.steps.to_string(),
                found.left.to_string(),
                spelled,
                cause(kind).to_owned(),
            ]);
        }
    }
    print!("{table}");
    println!(
        "secrets × looks: {}; {:.1} GiB read; memfd_secret, which nobody can read: {} KiB",
        tally.searched,
        tally.bytes as f64 / f64::from(1 << 30),
        tally.secret_pages >> 10
    );
    if !tally.in_passing.is_zero() {
        println!(
            "a data key stood in base64 in a buffer of the connection to the vault, until at most {:.1} s after the call",
            tally.in_passing.as_secs_f64()
        );
    }
    for refused in &tally.refused {
        println!("could not be read: {refused}");
    }
    println!();
}
