//! Whether the files that a configuration names can be used.

use std::sync::Arc;

use vault::platform::PlatformRoot;

use super::azure::credential;
use super::callers;
use super::places::{entra_tls, webhook_secrets, webhook_tls};
use super::root::root_trouble;
use crate::clock::SystemClock;
use crate::config::{Config, Listen};
use crate::issuers;
use crate::serve::ServerTls;
use crate::trouble::Trouble;

/// Everything about the files a configuration names that can be told without listening or opening the database.
pub fn check_files(config: &Config) -> Vec<Trouble> {
    let mut found = Vec::new();
    for listen in &config.listen {
        if let Listen::Tls { files, .. } = listen {
            found.extend(ServerTls::read(files.clone(), Arc::new(SystemClock)).err().map(Trouble::from));
        }
    }
    if let Some(webhook) = &config.webhook {
        found.extend(webhook_tls(webhook).err().map(Trouble::from));
        found.extend(webhook_secrets(&webhook.secret_file).err());
    }
    if let Some(pages) = &config.entra.pages {
        found.extend(entra_tls(pages).err().map(Trouble::from));
    }
    found.extend(credential(&config.azure.credential).err());
    if config.platform_key.vault_key.is_none() {
        let opened = PlatformRoot::open_file(&config.platform_key.file);
        found.extend(opened.err().map(|refused| root_trouble(&config.platform_key.file, &refused)));
    }
    found.extend(callers(&config.callers).err());
    found.extend(issuers::signed(&config.issuers).err());
    found
}
