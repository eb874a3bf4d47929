//! `byokctl tenant …`, and waiting for a consent.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use client::{Client, pb};
use domain::name;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{Global, Output, TenantVerb};
use crate::connect::connect;
use crate::failure::Failure;
use crate::{credential, output, view};

/// How often a consent that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a consent lives, and somewhat more.
const LOOKS: u32 = 15 * 60 / 2 + 10;

pub(crate) async fn run(global: &Global, verb: TenantVerb) -> Result<(), Failure> {
    match verb {
        TenantVerb::LookUp { workspace, domains } => {
            let request = pb::LookUpDomainsRequest { name: name::connection(&workspace), domains };
            let found = connect(global).await?.look_up_domains(request).await?;
            let domains: Vec<view::LookedUpDomain> = found.domains.into_iter().map(Into::into).collect();
            let row = |d: &view::LookedUpDomain| {
                let what = d.message.clone().unwrap_or_default();
                [d.typed.clone(), d.tenant_id.clone().unwrap_or_else(|| "-".to_owned()), what]
            };
            let rows: Vec<_> = domains.iter().map(row).collect();
            output::many(global, ["TYPED", "TENANT", "WHAT IS WRONG"], &rows, &view::LookedUp { domains })
        }
        TenantVerb::Connect { workspace, tenant, wait } => {
            let client = connect(global).await?;
            let name = name::connection(&workspace);
            let started = client.start_consent(pb::StartConsentRequest { name: name.clone(), tenant }).await?;
            let started: view::Connecting = started.into();
            begun(global, &started)?;
            if wait { wait_for(global, &client, &name, &started).await } else { Ok(()) }
        }
        TenantVerb::Complete { workspace, code } => {
            let request = pb::CompleteConsentRequest { name: name::connection(&workspace), code };
            let tenant: view::Tenant = connect(global).await?.complete_consent(request).await?.into();
            output::one(global, &fields(&tenant), &tenant)
        }
        TenantVerb::Status { workspace, no_look } => {
            let request = pb::GetConnectionRequest { name: name::connection(&workspace), look: !no_look };
            show(global, &connect(global).await?.connection(request).await?.into())
        }
        TenantVerb::Disconnect { workspace, yes } => {
            if !yes {
                let what =
                    format!("disconnecting {workspace} stops all use of its key until everything is proven anew");
                return Err(Failure::caller(what).hint("add --yes if that is what you want"));
            }
            let request = pb::DisconnectRequest { name: name::connection(&workspace) };
            show(global, &connect(global).await?.disconnect(request).await?.into())
        }
        TenantVerb::Credential(verb) => credential::run(global, verb).await,
        TenantVerb::UsePlatformApp { workspace } => credential::use_platform_app(global, &workspace).await,
    }
}

fn fields(tenant: &view::Tenant) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("tenant", tenant.tenant_id.clone()),
        ("named as", tenant.typed.clone()),
        ("state", tenant.state.clone()),
        ("application", tenant.application()),
    ];
    fields.extend(tenant.proven_by.clone().map(|by| ("proven by", by)));
    fields.extend(tenant.application_remedy.clone().map(|remedy| ("remedy", remedy)));
    fields
}

fn begun(global: &Global, started: &view::Connecting) -> Result<(), Failure> {
    let mut all = fields(&started.tenant);
    match (&started.start_url, &started.consent_url) {
        (Some(start), Some(consent)) => {
            all.push(("open", start.clone()));
            all.push(("or send", consent.clone()));
            all.push(("until", started.expire_time.clone().unwrap_or_default()));
        }
        _ => all.push(("consent", "this installation offers no pages for it".to_owned())),
    }
    if !started.command.is_empty() {
        all.push(("or run", started.command.clone()));
    }
    output::one(global, &all, started)
}

fn show(global: &Global, connection: &view::Connection) -> Result<(), Failure> {
    if global.output == Output::Json {
        return output::print(&output::document(connection)?);
    }
    let row = |t: &view::Tenant| {
        let by = t.proven_by.clone().unwrap_or_default();
        let since = t.state_time.clone().or_else(|| t.name_time.clone()).unwrap_or_default();
        [t.tenant_id.clone(), t.typed.clone(), t.state.clone(), by, since, t.application()]
    };
    let rows: Vec<_> = connection.tenants.iter().map(row).collect();
    output::print(&output::table(["TENANT", "NAMED AS", "STATE", "BY", "SINCE", "APPLICATION"], &rows))?;
    let restricts = if connection.restricts { "keys of these directories alone" } else { "keys of any directory" };
    let mut lines = vec![("application", connection.application_id.clone()), ("takes", restricts.to_owned())];
    for key in &connection.keys {
        let what = if key.void_time.is_some() { "to be proven anew" } else { "proven" };
        lines.push(("key", format!("{} ({what})", key.key_identifier)));
    }
    let remedies = connection.tenants.iter().filter_map(|tenant| tenant.application_remedy.clone());
    lines.extend(remedies.map(|remedy| ("remedy", remedy)));
    output::one(global, &lines, connection)
}

/// Looks until the directory is proven; tells each state it comes to.
async fn wait_for(global: &Global, client: &Client, name: &str, started: &view::Connecting) -> Result<(), Failure> {
    if started.start_url.is_none() {
        return Err(Failure::caller("there is no consent to wait for")
            .hint("run the command above in the directory, set the key's tag, and test the key"));
    }
    let spinner = Spinner::new();
    for _ in 0..LOOKS {
        let request = pb::GetConnectionRequest { name: name.to_owned(), look: false };
        let now: view::Connection = client.connection(request).await?.into();
        let tenant = now.tenants.iter().find(|tenant| tenant.tenant_id == started.tenant.tenant_id);
        if let Some(tenant) = tenant {
            spinner.at(&tenant.state);
            if tenant.state == "PROVEN" {
                drop(spinner);
                return output::one(global, &fields(tenant), tenant);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::caller("nobody signed in before the consent was over").hint("begin again with byokctl tenant connect"))
}

/// What is being waited for: a line that moves on a terminal, and a line for each change elsewhere.
struct Spinner {
    bar: ProgressBar,
    told: std::cell::RefCell<String>,
}

impl Spinner {
    fn new() -> Self {
        let watched = io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, told: std::cell::RefCell::default() }
    }

    fn at(&self, state: &str) {
        let doing = match state {
            "NAMED" => "waiting for consent",
            "CAME_BACK" => "consent was given; waiting for the sign-in",
            other => other,
        };
        self.bar.set_message(doing.to_owned());
        if self.bar.is_hidden() && *self.told.borrow() != doing {
            let _ = writeln!(io::stderr(), "{doing}");
        }
        doing.clone_into(&mut self.told.borrow_mut());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
