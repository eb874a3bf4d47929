//! What a person can type next, ready to be pasted into another terminal.

use azure_emulator::ADMIN_HOST;
use client::Endpoint;

use super::azure::{Azure, CUSTOMER};
use super::home::{Home, Tokens};
use super::screen::Screen;
use super::walk::BOT;
use crate::serve::Address;
use crate::trouble::Trouble;
use crate::webhook::{PATH, SECRET_HEADER};

/// Prints it.
pub(super) fn print(
    screen: &mut Screen,
    endpoint: &Endpoint,
    http: &Address,
    tokens: &Tokens,
    home: &Home,
    azure: &Azure,
) -> Result<(), Trouble> {
    let ca = home.file("emulator-ca.pem");
    home.write(&ca, azure.ca_pem())?;
    let fate = if home.is_temporary() { "removed at the end" } else { "kept" };
    // Beside this program, if it was built; else cargo builds it.
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name("byokctl")).filter(|path| path.is_file());
    let byokctl =
        beside.map_or("cargo run --quiet --release -p byokctl --".to_owned(), |path| path.display().to_string());
    let key = Azure::key_path();

    screen.line("");
    screen.title(&format!("Serving on {endpoint} (plaintext, this machine only) until Ctrl-C"));
    screen.line(&format!("Data: {} ({fate})", home.path().display()));
    screen.line("In another terminal:\n");
    screen.line(&format!("  export BYOKCTL_SERVER={endpoint}"));
    screen.line(&format!("  export BYOKCTL_TOKEN={}", tokens.dev));
    screen.line(&format!("  alias byokctl='{byokctl}'"));
    screen.line("  byokctl workspace list");
    screen.line(&format!("  byokctl key status {CUSTOMER}"));
    screen.line(&format!("  byokctl key test {CUSTOMER}"));
    screen.line(&format!("  byokctl key watch {CUSTOMER}"));
    screen.line(&format!("  alias seal='byokctl data encrypt --app {CUSTOMER}/{BOT} --context order=42'"));
    screen.line(&format!("  alias open='byokctl data decrypt --app {CUSTOMER}/{BOT} --context order=42'"));
    screen.line("  echo 'two boxes of tea' | seal -o order.byok");
    screen.line("  byokctl data inspect order.byok");
    screen.line("  open order.byok");
    screen.line("\nSomebody else, who approves what the first asks for (operation approve):\n");
    screen.line(&format!("  alias second='BYOKCTL_TOKEN={} byokctl'", tokens.second));
    screen.line("\nEvent Grid tells of a new version of the key, and the vault is asked at once:\n");
    let (vault, name) = Azure::key_names();
    let data = format!(r#"{{"VaultName": "{vault}", "ObjectName": "{name}"}}"#);
    screen.line("  curl --fail --silent --show-error \\");
    screen.line(&format!("    --header \"{SECRET_HEADER}: $(cat {})\" \\", home.file("webhook-secret").display()));
    screen.line("    --data '[{\"eventType\": \"Microsoft.KeyVault.KeyNewVersionCreated\",");
    screen.line(&format!("      \"data\": {data}}}]' \\"));
    screen.line(&format!("    http://{http}{PATH}"));
    screen.line("\nThe customer switches the key off (false) and on again (true) in the vault:\n");
    screen.line("  switch() {");
    screen.line("    curl --fail --silent --show-error --request PATCH \\");
    screen.line(&format!("      --cacert {} \\", ca.display()));
    screen.line(&format!("      --connect-to ::{} --header content-type:application/json \\", azure.addr()));
    screen.line("      --data \"{\\\"enabled\\\": $1}\" \\");
    screen.line(&format!("      https://{ADMIN_HOST}{key}"));
    screen.line("  }");
    screen.line("  switch false; sleep 3; open order.byok; switch true; sleep 15; open order.byok\n");
    Ok(())
}
