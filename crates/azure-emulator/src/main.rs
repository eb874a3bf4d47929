//! The emulator as a program: makes a small world, says where it is, and serves until Ctrl-C or SIGTERM.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use azure_emulator::{ADMIN_HOST, Cloud, Emulator, KeyOperation, Options, Role, RoleScope};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

/// Azure Key Vault (keys) and Entra ID on loopback, with switches for faults.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Keep everything here, so that it survives a restart
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write the private authority's certificate to this file
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A tenant to have
    #[arg(long, default_value = "contoso")]
    tenant: String,
    /// A vault to have in it
    #[arg(long, default_value = "contoso-keys")]
    vault: String,
    /// An RSA-2048 key to have in the vault
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// An app to have in the tenant, with the role Key Vault Crypto Officer on the vault
    #[arg(long, default_value = "byokd")]
    app: String,
    /// The app's client secret; a new one each start when left out
    #[arg(long, value_name = "VALUE")]
    client_secret: Option<String>,
    /// No admin API
    #[arg(long)]
    no_admin: bool,
    /// Make identifiers repeatable
    #[arg(long)]
    seed: Option<u64>,
    /// How to print what was made
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let emulator = Emulator::start(Options {
        listen: arguments.listen,
        admin: !arguments.no_admin,
        clock: None,
        state_dir: arguments.state.clone(),
        seed: arguments.seed,
    })
    .await?;
    let made = furnish(&emulator, &arguments).await?;
    print(&made, arguments.output)?;

    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn furnish(emulator: &Emulator, arguments: &Arguments) -> anyhow::Result<Value> {
    let tenant = emulator.tenant(&arguments.tenant);
    let app = emulator.app(&arguments.app);
    let secret = match &arguments.client_secret {
        Some(value) => {
            app.remove_secrets();
            app.set_secret(value, None);
            value.clone()
        }
        None => app.add_secret(),
    };
    let principal = tenant.consent(&app);
    let vault = tenant.vault(&arguments.vault);
    vault.remove_role(&principal, Role::CryptoOfficer, RoleScope::Vault);
    vault.assign_role(&principal, Role::CryptoOfficer, RoleScope::Vault);
    let key = match &arguments.key {
        Some(name) => Some(match vault.latest(name) {
            Ok(there) => there,
            Err(_) => vault.create_key(name, 2048, &KeyOperation::DEFAULT).await?,
        }),
        None => None,
    };
    let ca_file = match (&arguments.ca_file, &arguments.state) {
        (Some(path), _) => {
            std::fs::write(path, emulator.ca_pem()).with_context(|| format!("cannot write {}", path.display()))?;
            Some(path.clone())
        }
        (None, Some(state)) => Some(state.join("ca.pem")),
        (None, None) => None,
    };
    Ok(json!({
        "address": emulator.addr().to_string(),
        "ca_file": ca_file,
        "ca_pem": emulator.ca_pem(),
        "admin": (!arguments.no_admin).then(|| format!("https://{ADMIN_HOST}")),
        "login": format!("https://{}", Cloud::Public.login_host()),
        "tenant_id": tenant.id(),
        "tenant_domain": tenant.domain(),
        "client_id": app.client_id(),
        "client_secret": secret,
        "principal": principal.object_id,
        "vault": vault.url(),
        "key": key.map(|k| k.kid),
    }))
}

fn print(made: &Value, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{made}")?,
        Output::Text => {
            for (name, value) in made.as_object().into_iter().flatten() {
                match value {
                    Value::String(text) if !text.starts_with("-----") => writeln!(out, "{name:>14}  {text}")?,
                    _ => {}
                }
            }
            if made["ca_file"].is_null() {
                writeln!(out, "\n{}", made["ca_pem"].as_str().unwrap_or_default())?;
            }
            writeln!(
                out,
                "\nEvery host name above is at {}. Ctrl-C ends.",
                made["address"].as_str().unwrap_or_default()
            )?;
        }
    }
    out.flush()?;
    Ok(())
}
