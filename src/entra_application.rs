//! Our application at directories: the registration's addresses, its credential, and the way out that vaults are reached by.

use std::sync::Arc;

use identity::entra::{Directory, EntraApp};
use vault::Approach as _;
use vault::azure::AzureKeys;

use crate::clock::SystemClock;
use crate::entra_client::{self, PlatformAuthentication};
use crate::entropy::SystemEntropy;
use crate::trouble::Trouble;

/// Directories as our application meets them, with our own pages at `public_url`.
pub fn directory(keys: &AzureKeys, public_url: &str) -> Result<Arc<dyn Directory>, Trouble> {
    let app = EntraApp::new(keys.application(), public_url)
        .map_err(|why| Trouble::new(format_args!("entra.public_url: {why}"), "write it as https://keys.example.com"))?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let authentication = PlatformAuthentication::new(keys.application(), keys.credential(), clock, entropy);
    Ok(Arc::new(entra_client::directory(app, authentication, keys.way_out(), Arc::new(SystemClock))))
}
