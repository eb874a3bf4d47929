//! A nonce buffer never survives a fork (I-17): otherwise parent and child would seal under the same nonces.
//!
//! No test harness: a process that forks must have one thread.

use std::collections::HashSet;
use std::io::{Read, Write, pipe};

use envelope::fresh_nonce;
use fork::{ProcessFork, fork_process, waitpid};

const TAKEN: usize = 500;

fn main() {
    // The buffer is half used, so that what is left in it would be shared; one clock reading, so that only the buffer
    // can tell the two apart.
    fresh_nonce(1);
    let (mut reader, mut writer) = pipe().expect("a pipe");
    match fork_process().expect("a fork") {
        ProcessFork::Child => {
            drop(reader);
            for _ in 0..TAKEN {
                writer.write_all(&fresh_nonce(1)).expect("the parent reads");
            }
            drop(writer);
            std::process::exit(0);
        }
        ProcessFork::Parent(child) => {
            drop(writer);
            let mut theirs = Vec::new();
            reader.read_to_end(&mut theirs).expect("the child writes");
            waitpid(child.into()).expect("the child ends");
            let theirs: HashSet<[u8; 24]> = theirs.as_chunks().0.iter().copied().collect();
            assert_eq!(theirs.len(), TAKEN, "the child repeated a nonce of its own");
            for _ in 0..TAKEN {
                assert!(!theirs.contains(&fresh_nonce(1)), "parent and child took the same nonce");
            }
        }
    }
    eprintln!("a nonce buffer never survives a fork: ok");
}
