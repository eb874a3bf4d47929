//! Our application at directories' token endpoints, with the credential that the way to vaults holds.

use std::sync::Arc;

use async_trait::async_trait;
use identity::entra::{ClientAuthentication, Directory, EntraApp, EntraDirectory, NoCredential, Proof};
use vault::Approach as _;
use vault::azure::{AzureKeys, Shown};

use crate::clock::SystemClock;
use crate::trouble::Trouble;

/// Whoever holds the platform's credential.
struct Application(Arc<AzureKeys>);

#[async_trait]
impl ClientAuthentication for Application {
    async fn prove(&self, token_endpoint: &str) -> Result<Proof, NoCredential> {
        match self.0.show_application(token_endpoint).await {
            Ok(Shown::Secret(secret)) => Ok(Proof::Secret(secret)),
            Ok(Shown::Assertion(assertion)) => Ok(Proof::Assertion(assertion)),
            Err(why) => {
                tracing::error!(%why, "our own credential cannot be shown to a directory");
                Err(NoCredential)
            }
        }
    }
}

/// Directories as our application meets them, with our own pages at `public_url`.
pub fn directory(keys: &Arc<AzureKeys>, public_url: &str) -> Result<Arc<dyn Directory>, Trouble> {
    let app = EntraApp::new(keys.application(), public_url)
        .map_err(|why| Trouble::new(format_args!("entra.public_url: {why}"), "write it as https://keys.example.com"))?;
    let application = Arc::new(Application(Arc::clone(keys)));
    let web = Arc::new(keys.way_out());
    Ok(Arc::new(EntraDirectory::new(app, application, web, Arc::new(SystemClock))))
}
