//! What `byokctl` does without a service: usage, `data inspect`, and failures that leave nothing behind.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn byokctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byokctl"));
    for name in ["BYOKCTL_SERVER", "BYOKCTL_TOKEN", "BYOKCTL_CA"] {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> Output {
    byokctl().args(args).output().unwrap()
}

fn run_with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child =
        byokctl().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may refuse, and close its end, before all was written.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// One `error:` and one `hint:`, nothing on standard output, and the exit code that says whose fault it is.
#[track_caller]
fn assert_fails(output: &Output, code: i32) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "data on a failure: {:?}", output.stdout);
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        matches!(lines[..], [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ")),
        "not one error and one hint:\n{stderr}"
    );
    assert!(!stderr.contains('\u{1b}'), "colour where there is no terminal");
}

fn vectors(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envelope/vectors").join(name);
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document["cases"].as_array().unwrap().clone()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(case[field].as_str().unwrap()).unwrap()
}

fn inspect(ciphertext: &[u8]) -> Value {
    let output = run_with_input(&["--output", "json", "data", "inspect"], ciphertext);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each frozen vector is shown with its kind, key and sizes, by the program as it is installed.
#[test]
fn every_vector_is_shown_as_what_it_is() {
    for case in vectors("messages-v1.json") {
        let shown = inspect(&bytes(&case, "ciphertext"));
        assert_eq!((&shown["kind"], &shown["data_key_id"]), (&"message".into(), &case["data_key_id"]));
        assert_eq!(shown["plaintext_size"], bytes(&case, "plaintext").len());
        assert_eq!(shown["segments"], Value::Null);
    }
    for case in vectors("streams-v1.json") {
        let shown = inspect(&bytes(&case, "ciphertext"));
        assert_eq!((&shown["kind"], &shown["data_key_id"]), (&"stream".into(), &case["data_key_id"]));
        assert_eq!(shown["plaintext_size"], case["plaintext_length"]);
        assert_eq!(shown["segments"], case["plaintext_length"].as_u64().unwrap().div_ceil(65_536).max(1));
    }
}

/// The refused vectors whose fault stands in the public header get one clear error.
#[test]
fn every_vector_with_a_public_fault_is_refused() {
    let streams = vectors("streams-v1.json");
    let part = |part: &Value| match part.get("hex") {
        Some(hex) => hex::decode(hex.as_str().unwrap()).unwrap(),
        None => {
            let stream = streams.iter().find(|stream| stream["name"] == part["stream"]).unwrap();
            let at = |field: &str| usize::try_from(part[field].as_u64().unwrap()).unwrap();
            bytes(stream, "ciphertext")[at("from")..at("to")].to_vec()
        }
    };
    let mut seen = 0;
    for case in vectors("refused-v1.json") {
        if case["fault"] != "OPEN_FAILED" {
            let ciphertext: Vec<u8> = case["ciphertext"].as_array().unwrap().iter().flat_map(part).collect();
            let output = run_with_input(&["data", "inspect"], &ciphertext);
            assert_fails(&output, 2);
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} vectors have a public fault");
}

/// Garbage, empty input, directories and missing files get one clear error each, and nothing panics.
#[test]
fn what_is_no_ciphertext_gets_one_clear_error() {
    for garbage in [&b""[..], b"x", b"BYOK", &[0; 4096], "-----BEGIN AGE ENCRYPTED FILE-----".as_bytes()] {
        assert_fails(&run_with_input(&["data", "inspect"], garbage), 2);
        // Decrypting says so before it looks for a service.
        assert_fails(&run_with_input(&["data", "decrypt", "--app", "acme/bot"], garbage), 2);
    }
    assert_fails(&run(&["data", "inspect", "/no/such/file"]), 2);
    assert_fails(&run(&["data", "inspect", "/"]), 2);
}

/// A service that is not there is the service's fault; a wrong argument is the caller's; neither leaves a file.
#[test]
fn failures_leave_no_file_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    std::fs::write(&input, "order 42").unwrap();
    let args = |server: &'static str| {
        let paths = [&input, &output].map(|path| path.to_str().unwrap().to_owned());
        let [input, output] = paths;
        let words = ["--server", server, "data", "encrypt", "--app", "acme/bot", &input, "-o", &output];
        words.map(str::to_owned)
    };
    // Port 1 on loopback: nothing listens there.
    let refused = byokctl().args(args("http://127.0.0.1:1")).output().unwrap();
    assert_fails(&refused, 4);
    let refused = byokctl().args(args("unix:/no/such/socket")).output().unwrap();
    assert_fails(&refused, 4);
    let refused = byokctl().args(args("https://127.0.0.1:1")).output().unwrap();
    assert_fails(&refused, 2); // no --ca
    let refused = byokctl().env("BYOKCTL_TOKEN", "two\nlines").args(args("http://127.0.0.1:1")).output().unwrap();
    assert_fails(&refused, 2);
    std::fs::write(&output, "precious").unwrap();
    assert_fails(&byokctl().args(args("http://127.0.0.1:1")).output().unwrap(), 2);
    assert_eq!(std::fs::read(&output).unwrap(), b"precious");
    let mut names: Vec<_> = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["in", "out"], "something was left behind");
}

/// A token travels over loopback, a socket or TLS, never in the clear to another host.
#[test]
fn plaintext_to_another_host_is_a_usage_error() {
    let output = run(&["--server", "http://192.0.2.1:7443", "workspace", "list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("https://"));
}

/// Deleting is typed out.
#[test]
fn deleting_asks_to_be_meant() {
    assert_fails(&run(&["workspace", "delete", "acme"]), 2);
    assert_fails(&run(&["app", "delete", "acme/bot"]), 2);
}
