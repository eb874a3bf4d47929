//! The drill's own proof: a process that leaks on purpose is caught in each way, so that finding nothing means something.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use aes::Aes256Enc;
use aes::cipher::KeyInit;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secmem::Secret;

use super::core_file;
use super::process::{self, Look, Place};
use super::wanted::{Kind, Wanted};

/// What the leaking process does with each of its keys, in their order.
const PLANTS: [(&str, Option<(&str, Place)>); 6] = [
    ("a copy on the heap", Some(("half of it, raw", Place::Heap))),
    ("a copy on a stack", Some(("half of it, raw", Place::Stack))),
    ("base64 in a buffer that was freed", Some(("base64", Place::Heap))),
    ("an AES key schedule on the heap", Some(("AES round key", Place::Heap))),
    ("a hexadecimal text", Some(("hexadecimal", Place::Heap))),
    ("kept where it belongs", None),
];

/// Byte `at` of key `number`, computed: as a whole it stands nowhere but where it was planted.
fn byte(seed: u64, number: usize, at: usize) -> u8 {
    let mixed = (seed ^ black_box((number as u64) << 32 | at as u64)).wrapping_add(1);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 40) as u8
}

fn key(seed: u64, number: usize) -> [u8; 32] {
    std::array::from_fn(|at| byte(seed, number, at))
}

/// The leaking process: plants, says so, and waits until its input ends.
pub(crate) fn leak(seed: u64) -> Result<()> {
    let heap = black_box((0..32).map(|at| byte(seed, 0, at)).collect::<Vec<u8>>());
    let text = {
        let mut text = URL_SAFE_NO_PAD.encode((0..32).map(|at| byte(seed, 2, at)).collect::<Vec<u8>>());
        text.insert_str(0, "{\"value\":\"0123456789abcdef0123456789abcdef");
        text
    };
    drop(black_box(text));
    let cipher = black_box(Box::new(Aes256Enc::new(&key(seed, 3).into())));
    let hexadecimal = black_box(hex::encode((0..32).map(|at| byte(seed, 4, at)).collect::<Vec<u8>>()));
    let kept = Secret::<32>::fill(|out| out.iter_mut().enumerate().for_each(|(at, out)| *out = byte(seed, 5, at)))?;
    let stack = black_box(key(seed, 1));
    println!("planted");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    black_box((&heap, &stack, &cipher, &hexadecimal, kept.expose(|kept| kept[0])));
    Ok(())
}

/// Starts the leaking process and looks for what it planted, in its memory and in an image of it. Says what was found.
pub(crate) fn check(seed: u64, directory: &Path, cores: bool) -> Result<Vec<String>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["drill", "leak", "--seed", &seed.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start a process that leaks")?;
    let looked = (|| {
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().context("it has no output")?).read_line(&mut said)?;
        ensure!(said.trim() == "planted", "the leaking process says {said:?}");
        let mut wanted = Wanted::default();
        for (number, (label, _)) in PLANTS.iter().enumerate() {
            wanted.key(Kind::DataKey, label, &key(seed, number));
        }
        let finder = wanted.finder()?;
        let mut told = judge("/proc/PID/mem", &process::look(child.id(), &finder)?)?;
        if cores {
            told.extend(judge("core image", &core_file::look(child.id(), directory, &finder)?)?);
        }
        Ok(told)
    })();
    drop(child.stdin.take());
    let ended = child.wait()?;
    ensure!(ended.success() || looked.is_err(), "the leaking process ended with {ended}");
    looked
}

/// Every plant must be found as what it is, and what is kept well must not be.
fn judge(by: &str, look: &Look) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (number, (label, expected)) in PLANTS.iter().enumerate() {
        let of_it: Vec<_> = look.hits.iter().filter(|hit| hit.secret == number).collect();
        match expected {
            Some((form, place)) => {
                let found = of_it.iter().filter(|hit| hit.form == *form && hit.place == *place).count();
                ensure!(found > 0, "{by}: {label} was not found, so this drill would find nothing: {of_it:?}");
                told.push(format!("{by}: {label}: found"));
            }
            None => {
                let outside = of_it.iter().filter(|hit| hit.place != Place::Locked).count();
                ensure!(outside == 0, "{by}: what was {label} is found elsewhere: {of_it:?}");
                told.push(format!("{by}: a key that is {label}: not found"));
            }
        }
    }
    Ok(told)
}
