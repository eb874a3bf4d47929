//! The drill's own proof: a process that leaks on purpose is caught in each way, so that finding nothing means something.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aes::Aes256Enc;
use aes::cipher::KeyInit;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secmem::Secret;

use super::kind::Kind;
use super::process::{self, Look, Place};
use super::watch::Watch;
use super::{core_file, files};

const COUNT: usize = 6;
/// What the leaking process does with each of its keys, in their order.
const PLANTS: [(&str, Option<(&str, Place)>); COUNT] = [
    ("a copy on the heap", Some(("half of it, raw", Place::Heap))),
    ("a copy on a stack", Some(("half of it, raw", Place::Stack))),
    ("base64 in a buffer that was freed", Some(("base64", Place::Heap))),
    ("an AES key schedule on the heap", Some(("AES round key", Place::Heap))),
    ("a hexadecimal text", Some(("hexadecimal", Place::Heap))),
    ("kept where it belongs", None),
];

/// The number of a token that is kept when its cause is over, and of a data key that is written into the daemon.
const TOKEN: usize = COUNT;
const IN_THE_DAEMON: usize = COUNT + 1;

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
    let token = black_box(token(seed));
    let stack = black_box(key(seed, 1));
    println!("planted");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    black_box((&heap, &stack, &cipher, &hexadecimal, &token, kept.expose(|kept| kept[0])));
    Ok(())
}

/// As a token looks that is issued.
fn token(seed: u64) -> String {
    format!("byokd_{}", hex::encode(key(seed, TOKEN)))
}

/// Ends when it goes.
struct Leaking(Child);

impl Drop for Leaking {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the leaking process and looks for what it planted as it is looked for in the daemon: in its memory, in an image of it, and
/// by what may be found where and until when. Each fault must be told, or the drill would tell of none.
pub(crate) async fn check(seed: u64, cores: Option<PathBuf>) -> Result<Watch> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["drill", "leak", "--seed", &seed.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Leaking(command.spawn().context("cannot start a process that leaks")?);
    let mut said = String::new();
    BufReader::new(child.0.stdout.as_mut().context("it has no output")?).read_line(&mut said)?;
    ensure!(said.trim() == "planted", "the leaking process says {said:?}");

    let mut watch = Watch::new("leaking on purpose", child.0.id(), cores.clone());
    watch.seeded = true;
    for (number, (label, _)) in PLANTS.iter().enumerate() {
        watch.wanted.key(Kind::DataKey, label, &key(seed, number));
    }
    watch.wanted.value(Kind::IssuedToken, "a token that is kept", token(seed).as_bytes());
    watch.wanted.value(Kind::Plaintext, "its seed as an argument", seed_text(seed).as_bytes());
    let finder = watch.wanted.finder()?;
    let mut told = judge("/proc/PID/mem", &process::look(watch.pid, &finder)?)?;
    if let Some(directory) = &cores {
        told.extend(judge("core image", &core_file::look(watch.pid, directory, &finder)?)?);
    }
    drop(finder);
    told.into_iter().for_each(|told| println!("  {told}"));

    watch.after("planted", true).await?;
    watch.gone("a token whose cause is over", &[Kind::IssuedToken], Duration::ZERO).await?;
    let images = if cores.is_some() { 2 } else { 1 };
    for (label, expected) in PLANTS {
        let named = format!("({label})");
        let found = watch.tally.faults.iter().filter(|fault| fault.contains(&named)).count();
        let enough = if expected.is_some() { found >= images } else { found == 0 };
        ensure!(enough, "a data key, {label}: {found} faults told: {:?}", watch.tally.faults);
    }
    let kept = watch
        .tally
        .faults
        .iter()
        .any(|fault| fault.contains("a token that is kept") && fault.contains("after its cause"));
    ensure!(kept, "a token that is kept for no cause was not told: {:?}", watch.tally.faults);
    let argument = files::check(watch.pid, &watch.wanted, &[], &Vec::new());
    ensure!(
        argument.is_err_and(|error| error.to_string().contains("cmdline")),
        "a secret in the command line was not told"
    );
    Ok(watch)
}

/// As the leaking process has it among its arguments.
fn seed_text(seed: u64) -> String {
    format!("drill\0leak\0--seed\0{seed}")
}

/// Writes half of a data key into the daemon's heap, where something stands that it keeps, has it looked for as everything else is, and
/// puts back what was there: what finding nothing in this very process, as it was built, is worth.
pub(crate) async fn into_the_daemon(seed: u64, daemon: &Watch) -> Result<()> {
    let mut watch = Watch::new(daemon.name, daemon.pid, None);
    watch.seeded = true;
    let key = key(seed, IN_THE_DAEMON);
    watch.wanted.key(Kind::DataKey, "written into the daemon", &key);
    let half = &key[..16];
    let look = process::look(daemon.pid, &daemon.wanted.finder()?)?;
    let kept = |hit: &&process::Hit| hit.kind == Kind::ClientSecret && hit.form == "raw" && hit.place == Place::Heap;
    let at = look.hits.iter().find(kept).context("the client secret that the daemon keeps was not found in it")?.at;
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", daemon.pid))?;
    let mut before = [0; 16];
    memory.read_exact_at(&mut before, at)?;
    memory.write_all_at(half, at)?;
    let looked = watch.after("a data key written into the daemon", false).await;
    memory.write_all_at(&before, at)?;
    looked?;
    let told = watch.tally.faults.iter().any(|fault| fault.contains("written into the daemon"));
    ensure!(told, "half of a data key in the daemon's own heap was not found, so this drill would find nothing");
    Ok(())
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
