//! `byokctl tenant credential …`: as whom the service is in the customer's directory.

mod args;
mod view;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use client::pb;
use domain::credential::check_secret;
use domain::{WorkspaceId, name};

use self::args::CredentialName;
pub(crate) use self::args::CredentialVerb;
use crate::args::{Global, Output};
use crate::connect::connect;
use crate::data::destination::Destination;
use crate::failure::{Exit, Failure};
use crate::output;

/// What is read of standard input at most: a secret is far shorter, and a file by mistake is not swallowed whole.
const LONGEST_INPUT: u64 = 64 * 1024;

/// `byokctl tenant use-platform-app`.
pub(crate) async fn use_platform_app(global: &Global, workspace: &WorkspaceId) -> Result<(), Failure> {
    let request = pb::UsePlatformAppRequest { parent: name::workspace(workspace) };
    show_all(global, connect(global).await?.use_platform_app(request).await?)
}

pub(crate) async fn run(global: &Global, verb: CredentialVerb) -> Result<(), Failure> {
    match verb {
        CredentialVerb::AddSecret { workspace, client_id, tenant, expires } => {
            let value = secret()?;
            let request = pb::AddSecretRequest {
                parent: name::workspace(&workspace),
                client_id,
                tenant_id: tenant.unwrap_or_default(),
                value,
                expire_time: Some(stamp(expires)),
            };
            show(global, connect(global).await?.add_secret(request).await?)
        }
        CredentialVerb::MakeCertificate { workspace, client_id, tenant, out, force } => {
            make_certificate(global, &workspace, client_id, tenant, out, force).await
        }
        CredentialVerb::List { workspace } => {
            let request = pb::ListCredentialsRequest { parent: name::workspace(&workspace) };
            show_all(global, connect(global).await?.credentials(request).await?)
        }
        CredentialVerb::Test { credential: CredentialName(name) } => test(global, name).await,
        CredentialVerb::Activate { credential: CredentialName(name) } => {
            show_all(global, connect(global).await?.activate_credential(pb::ActivateCredentialRequest { name }).await?)
        }
        CredentialVerb::Remove { credential: CredentialName(name) } => {
            show_all(global, connect(global).await?.remove_credential(pb::RemoveCredentialRequest { name }).await?)
        }
    }
}

/// The secret's Value from standard input. What is none is refused here and not even sent.
fn secret() -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Failure::caller("a terminal would show the secret as it is typed").hint(
            "pipe it in: read -rs V && printf %s \"$V\" | byokctl tenant credential add-secret …, or from a password store",
        ));
    }
    let mut text = String::new();
    let read = input.lock().take(LONGEST_INPUT).read_to_string(&mut text);
    read.map_err(|error| {
        Failure::caller(format!("the secret cannot be read from standard input: {error}"))
            .hint("pipe the secret's Value in, as text")
    })?;
    let value = check_secret(&text).map_err(|invalid| {
        Failure::caller(format!("{invalid} [{}]", invalid.reason())).hint(invalid.reason().remedy())
    })?;
    Ok(value.to_owned())
}

async fn make_certificate(
    global: &Global,
    workspace: &WorkspaceId,
    client_id: String,
    tenant: Option<String>,
    out: Option<PathBuf>,
    force: bool,
) -> Result<(), Failure> {
    let client = connect(global).await?;
    let path = out.unwrap_or_else(|| PathBuf::from(format!("byokd-{workspace}.pem")));
    // Before one is made: what cannot be written is not made in vain.
    let mut file = Destination::open(&path, force, false)?;
    let parent = name::workspace(workspace);
    let request = pb::MakeCertificateRequest { parent, client_id, tenant_id: tenant.unwrap_or_default() };
    let made = client.make_certificate(request).await?;
    file.write_all(made.certificate_pem.as_bytes()).await?;
    file.keep().await?;
    if global.output == Output::Table && path.as_os_str() != "-" {
        let hint = "upload it to the app registration under Certificates & secrets, then test the credential";
        anstream::eprintln!("{} is written: {hint}", path.display());
    }
    if path.as_os_str() == "-" { Ok(()) } else { show(global, made) }
}

/// Not passed is a failure whose owner is the one to act.
async fn test(global: &Global, name: String) -> Result<(), Failure> {
    let answer = connect(global).await?.test_credential(pb::TestCredentialRequest { name }).await?;
    let test = view::CredentialTest::from(answer);
    if global.output == Output::Json {
        output::print(&output::document(&test)?)?;
    }
    let (Some(reason), false) = (&test.reason, test.passed) else {
        return match (global.output, test.credential) {
            (Output::Table, Some(credential)) => output::one(global, &fields(&credential), &credential),
            (Output::Table | Output::Json, _) => Ok(()),
        };
    };
    let exit = match test.owner.as_deref() {
        Some("customer") => Exit::Customer,
        Some("caller") => Exit::Caller,
        Some(_) | None => Exit::Service,
    };
    let finding = test.finding.clone().unwrap_or_default();
    let message = format!("the credential did not pass: {finding} [{reason}]");
    Err(Failure { exit, message, hint: test.remedy.clone().unwrap_or_else(|| "test it again".to_owned()) })
}

fn show(global: &Global, credential: pb::Credential) -> Result<(), Failure> {
    let credential = view::Credential::from(credential);
    output::one(global, &fields(&credential), &credential)
}

fn fields(credential: &view::Credential) -> Vec<(&'static str, String)> {
    vec![
        ("name", credential.name.clone()),
        ("kind", credential.kind.clone()),
        ("state", credential.state.clone()),
        ("client id", credential.client_id.clone()),
        ("tenant", credential.tenant_id.clone()),
        ("recognised by", recognised(credential)),
        ("expires", expires(credential)),
        ("added by", credential.added_by.clone()),
    ]
}

fn show_all(global: &Global, integration: pb::Integration) -> Result<(), Failure> {
    let integration = view::Integration::from(integration);
    if global.output == Output::Table {
        let model = match integration.model.as_str() {
            "CUSTOMER_REGISTRATION" => "the directory is asked as the customer's own app registration",
            _ => "the directory is asked as the platform's own app",
        };
        anstream::eprintln!("{model}");
    }
    let row = |found: &view::Credential| {
        [
            found.name.clone(),
            found.kind.clone(),
            found.state.clone(),
            found.client_id.clone(),
            recognised(found),
            expires(found),
        ]
    };
    let rows: Vec<_> = integration.credentials.iter().map(row).collect();
    output::many(global, ["CREDENTIAL", "KIND", "STATE", "CLIENT ID", "RECOGNISED BY", "EXPIRES"], &rows, &integration)
}

fn recognised(credential: &view::Credential) -> String {
    match (&credential.last_four, &credential.thumbprint_sha256) {
        (Some(last_four), _) => format!("…{last_four}"),
        (None, Some(thumbprint)) => thumbprint.chars().take(16).chain(['…']).collect(),
        (None, None) => String::new(),
    }
}

fn expires(credential: &view::Credential) -> String {
    let at = credential.expire_time.clone().unwrap_or_default();
    match (credential.expired, credential.expires_within_days) {
        (true, _) => format!("{at} (expired)"),
        (false, Some(days)) => format!("{at} (within {days} days)"),
        (false, None) => at,
    }
}

fn stamp(at: domain::Timestamp) -> client::Time {
    let nanos = i32::try_from(at.micros().rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    client::Time { seconds: at.micros().div_euclid(1_000_000), nanos }
}
