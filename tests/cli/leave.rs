//! Leaving is possible without us: an export, the customer's vault and the reader in Python open the data.
#![cfg(feature = "dev")]

use std::path::Path;

use azure_emulator::{Emulator, Options, Role, RoleScope};
use tokio::process::Command;

use crate::program::{Dev, ended};

/// Prints a token of the customer's own application for their vault, from the directory's token endpoint.
const ASK_FOR_TOKEN: &str = r#"
import http.client, json, socket, ssl, sys, urllib.parse
addr, ca, tenant, client, secret = sys.argv[1:]
host, port = addr.rsplit(":", 1)
login = "login.microsoftonline.com"
connection = http.client.HTTPSConnection(login, timeout=30)
raw = socket.create_connection((host, int(port)), 30)
connection.sock = ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname=login)
form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": "https://vault.azure.net/.default"}
connection.request("POST", f"/{tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
print(json.load(connection.getresponse())["access_token"])
"#;

/// The service is gone, its database too. What is left is files that were encrypted, an export that was made before, and the
/// customer's vault; the reader opens every file, and refuses a changed one.
///
/// Needs Python 3.9 or newer with `cryptography`. `BYOKD_PYTHON` names the interpreter; then it must have it.
#[tokio::test(flavor = "multi_thread")]
async fn the_data_opens_without_the_service() {
    let named = std::env::var_os("BYOKD_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let usable = Command::new(&python).args(["-c", "import cryptography"]).output().await;
    if !usable.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(named.is_none(), "BYOKD_PYTHON={python:?} is not a Python with the package cryptography: {usable:?}");
        eprintln!("left out: no python3 with the package cryptography; name one in BYOKD_PYTHON");
        return;
    }
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (addr, ca, data) = (emulator.addr().to_string(), path("ca.pem"), path("data"));
    std::fs::write(&ca, emulator.ca_pem()).unwrap();

    let dev = Dev::start(Path::new(&data), &["--emulator", &addr, "--emulator-ca", &ca]).await;
    let ctl = dev.byokctl();
    let plain: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    for form in [&["-o", &path("stream")][..], &["--message", "-o", &path("message")]] {
        let args = [&["data", "encrypt", "--app", "acme/support-bot", "--context", "order=42"][..], form].concat();
        ctl.feed(&args, &plain).await.good();
    }
    ctl.run(&["key", "export", "acme", "-o", &path("export.json")]).await.good();
    assert_eq!(dev.interrupt().await, Some(0));
    std::fs::remove_dir_all(&data).unwrap();

    // The customer's own application, with a role on the customer's own vault.
    let customer = emulator.tenant("acme");
    let own = emulator.app("acme-leaving");
    let secret = own.add_secret();
    let principal = customer.consent(&own);
    let vault = customer.vault("acme-keys");
    vault.assign_role(&principal, Role::CryptoServiceEncryptionUser, RoleScope::Vault);
    let mut ask = Command::new(&python);
    ask.args(["-c", ASK_FOR_TOKEN, &addr, &ca, customer.id(), own.client_id(), &secret]);
    let token = ask.output().await.unwrap();
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    std::fs::write(path("token"), token.stdout).unwrap();

    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/envelope/reader/byok_reader.py");
    let read = |name: &str| {
        let mut command = Command::new(&python);
        command.arg("-B").arg(&reader);
        command.args(["--export", &path("export.json"), "--vault-token-file", &path("token")]);
        command.args(["--connect", &addr, "--ca", &ca, "--context", "order=42", "--", &path(name), &path("opened")]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        ended(command.spawn().unwrap())
    };
    for name in ["stream", "message"] {
        read(name).await.good();
        assert_eq!(std::fs::read(path("opened")).unwrap(), plain, "{name}");
        std::fs::remove_file(path("opened")).unwrap();
    }
    let mut changed = std::fs::read(path("stream")).unwrap();
    changed[100_000] ^= 1;
    std::fs::write(path("changed"), changed).unwrap();
    assert_ne!(read("changed").await.code, Some(0));
    assert!(!Path::new(&path("opened")).exists());
}
