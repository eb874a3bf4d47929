//! The tables: what was searched, what was found and where, and what was left once nobody called; then of each residue why it is
//! there, and for how long.

use super::SETTLE;
use super::kind::Kind;
use super::process::Place;
use super::watch::Watch;
use crate::table::{Lean, Table};

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
    ]);
    for kind in Kind::ALL {
        let (secrets, forms) = watch.wanted.count(kind);
        if secrets == 0 {
            continue;
        }
        let (secrets, forms) = (secrets.to_string(), forms.to_string());
        let mut found = tally.found.iter().filter(|((of, _), found)| *of == kind && found.most > 0).peekable();
        if found.peek().is_none() {
            table.row([kind.name(), &secrets, &forms, "nowhere", "0", "0", "0", ""]);
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
            ]);
        }
    }
    print!("{table}");
    println!();
    print!("{}", residues(watch));
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

/// Of each kind that was found: why it is there and until when, by what is expected of it, and whether that was seen.
fn residues(watch: &Watch) -> Table {
    let tally = &watch.tally;
    let mut table = Table::new(&[
        ("residue", Lean::Left),
        ("where", Lean::Left),
        ("why it is there", Lean::Left),
        ("until", Lean::Left),
        ("seen to go", Lean::Left),
    ]);
    for ((kind, place), _) in tally.found.iter().filter(|(_, found)| found.most > 0) {
        let (name, place_name) = (kind.name().to_owned(), place.to_string());
        let gone = tally.gone.get(kind).filter(|_| *place == Place::Heap);
        match kind.residue().filter(|_| kind.may_stand(place)) {
            Some(residue) => table.row([
                name,
                place_name,
                residue.cause.to_owned(),
                residue.until.to_owned(),
                gone.map_or_else(String::new, |after| match after.is_zero() {
                    true => "at once".to_owned(),
                    false => format!("{:.1} s after", after.as_secs_f64()),
                }),
            ]),
            None => table.row([name, place_name, "FAULT: nothing is expected here".to_owned()]),
        }
    }
    table
}
