//! A person's certificate instead of a token, through the real programs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use byokd::serve::{ClientCertificates, Listener, ServerTls, TlsFiles};
use identity::{CertificateCallers, CertificateHolder};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::program::Byokctl;
use crate::site::Site;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &Authority, name: SanType, purpose: Purpose, folder: &Path, file: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![name];
    params.extended_key_usages = vec![purpose];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    let key = KeyPair::generate().unwrap();
    keep(folder, &format!("{file}.pem"), &params.signed_by(&key, authority).unwrap().pem());
    keep(folder, &format!("{file}.key"), &key.serialize_pem());
}

fn keep(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whoever shows a certificate needs no token, and may do what its name was given and nothing else.
#[tokio::test]
async fn a_certificate_does_instead_of_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let authority = authority();
    keep(folder.path(), "authority.pem", &authority.pem());
    let here = SanType::IpAddress("127.0.0.1".parse().unwrap());
    issue(&authority, here, Purpose::ServerAuth, folder.path(), "server");
    let alice = SanType::URI("spiffe://platform.example/alice".try_into().unwrap());
    issue(&authority, alice, Purpose::ClientAuth, folder.path(), "alice");
    let clock = Arc::new(byokd::clock::SystemClock);
    let files = TlsFiles {
        certificate: at("server.pem"),
        key: at("server.key"),
        client_authorities: Some(at("authority.pem")),
        client_certificates: ClientCertificates::Required,
    };
    let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), ServerTls::read(files, clock.clone()).unwrap());
    let listener = listener.unwrap();
    let server = format!("https://{}", listener.address());
    let _site = Site::beside(vec![listener], |assembly| {
        let alice = CertificateHolder {
            name: "alice".into(),
            certificate: "spiffe://platform.example/alice".parse().unwrap(),
            grants: vec!["workspaces.create@acme".parse().unwrap(), "auditor@acme".parse().unwrap()],
            expires: None,
        };
        assembly.callers = Arc::new(CertificateCallers::new([alice], clock).unwrap());
    })
    .await;

    let byokctl = Byokctl::at(&server, "");
    let text = |name: &str| at(name).display().to_string();
    let (ca, certificate, key) = (text("authority.pem"), text("alice.pem"), text("alice.key"));
    let shown = ["--ca", &ca, "--certificate", &certificate, "--certificate-key", &key];
    let run = async |args: &[&str]| {
        let mut command = byokctl.command(&[args, &shown].concat());
        command.env_remove("BYOKCTL_TOKEN");
        crate::program::ended(command.spawn().unwrap()).await
    };
    run(&["workspace", "create", "acme"]).await.good();
    run(&["workspace", "get", "acme"]).await.good();
    let refused = run(&["key", "revoke", "acme", "--yes"]).await.bad(2).stderr;
    assert!(refused.contains("key.revoke"), "{refused}");
    let refused = run(&["workspace", "get", "contoso"]).await.bad(2).stderr;
    assert!(refused.contains("no such resource"), "{refused}");
    let half = Byokctl::at(&server, "").run(&["workspace", "get", "acme", "--certificate", &certificate]).await;
    assert_ne!(half.code, Some(0), "a certificate without its key");
}
