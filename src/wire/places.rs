//! The places to listen on that a configuration names, bound, with what is shown and believed there.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::config::{self, Config, Listen};
use crate::files;
use crate::serve::{BindRefused, ClientCertificates, Listener, ServerTls, TlsFiles, TlsRefused};
use crate::trouble::{Trouble, Troubles};
use crate::webhook::WebhookSecrets;

/// The listeners a configuration names, bound.
pub fn listeners(config: &Config) -> Result<Vec<Listener>, Troubles> {
    let bind = |listen: &Listen| match listen {
        Listen::Tls { address, files } => {
            Ok(Listener::tls(*address, ServerTls::read(files.clone(), Arc::new(SystemClock))?)?)
        }
        Listen::Unix { path, mode } => Ok(Listener::unix(path, *mode)?),
    };
    config.listen.iter().map(bind).collect::<Result<_, Trouble>>().map_err(Into::into)
}

/// The place for figures that a configuration names, bound.
pub fn metrics(config: &config::Metrics) -> Result<Listener, BindRefused> {
    match config {
        config::Metrics::Loopback(address) => Listener::plaintext_loopback(*address),
        config::Metrics::Unix(path) => Listener::unix(path, 0o660),
    }
}

/// The place for Event Grid that a configuration names, bound, and the secrets that count there.
pub fn webhook(config: &config::Webhook) -> Result<(Listener, WebhookSecrets), Trouble> {
    let secrets = webhook_secrets(&config.secret_file)?;
    Ok((Listener::tls(config.address, webhook_tls(config)?)?, secrets))
}

pub(super) fn webhook_tls(config: &config::Webhook) -> Result<Arc<ServerTls>, TlsRefused> {
    for_anybody(&config.certificate, &config.key)
}

/// The place for browsers that a configuration names, bound.
pub fn entra_pages(config: &config::EntraPages) -> Result<Listener, Trouble> {
    Ok(Listener::tls(config.address, entra_tls(config)?)?)
}

pub(super) fn entra_tls(config: &config::EntraPages) -> Result<Arc<ServerTls>, TlsRefused> {
    for_anybody(&config.certificate, &config.key)
}

/// HTTP/1.1 for whoever comes: no certificate of theirs is asked for.
fn for_anybody(certificate: &Path, key: &Path) -> Result<Arc<ServerTls>, TlsRefused> {
    let files = TlsFiles {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        client_authorities: None,
        client_certificates: ClientCertificates::Optional,
    };
    ServerTls::read_for_http1(files, Arc::new(SystemClock))
}

pub(super) fn webhook_secrets(path: &Path) -> Result<WebhookSecrets, Trouble> {
    let bytes = Zeroizing::new(files::read_private(path)?);
    let secrets = WebhookSecrets::read(std::str::from_utf8(&bytes).unwrap_or_default());
    secrets.map_err(|refused| Trouble::new(format_args!("{}: {refused}", path.display()), refused.hint()))
}
