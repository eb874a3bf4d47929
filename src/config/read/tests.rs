//! What is read of a whole file, and what is said of each fault in one.

use std::time::Duration;

use super::super::{AzureCredential, Listen, Metrics};
use super::*;
use crate::serve::{ClientCertificates, Limits};

const GOOD: &str = r#"
database = "byokd.db"
workers = 2
memory_lock = "preferred"

[platform_key]
file = "/etc/byokd/platform.key"

[[listen]]
tls = "0.0.0.0:7444"
certificate = "tls/cert.pem"
key = "tls/key.pem"
client_authorities = "tls/clients.pem"
client_certificates = "required"

[[listen]]
unix = "/run/byokd/byokd.sock"
mode = "0660"

[azure]
client_id = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01"
certificate_file = "app.pem"

[limits]
idle = "5m"
connections = 10

[[callers]]
name = "platform"
token_sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
grants = ["platform-service", "platform-operator"]
expires = "2027-01-01T00:00:00Z"

[[callers]]
name = "chat"
certificate = "spiffe://platform.example/chat"
grants = ["platform-service@*/support-*"]

[log]
format = "text"
level = "debug"
"#;

fn faults(text: &str) -> Vec<String> {
    config(text, Path::new("/etc/byokd")).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Everything that can be set is read, and relative paths begin where the file is.
#[test]
fn a_whole_configuration_is_read() {
    let config = config(GOOD, Path::new("/etc/byokd")).unwrap();
    assert_eq!(config.database, Path::new("/etc/byokd/byokd.db"));
    assert_eq!(config.platform_key.file, Path::new("/etc/byokd/platform.key"));
    assert_eq!(config.limits, Limits { idle: Duration::from_secs(300), connections: 10, ..Limits::default() });
    assert_eq!(config.listen[1], Listen::Unix { path: "/run/byokd/byokd.sock".into(), mode: 0o660 });
    assert_eq!(config.webhook, None, "what nobody asked for does not listen");
    assert_eq!(config.azure.credential, AzureCredential::Certificate("/etc/byokd/app.pem".into()));
    assert_eq!((config.log_format, config.log_level), (Format::Text, tracing::Level::DEBUG));
    assert_eq!(config.callers[0].sha256.unwrap()[..2], [0x2c, 0xf2]);
    assert_eq!(config.callers[0].certificate, None);
    assert_eq!(config.callers[1].certificate.as_ref().unwrap().to_string(), "spiffe://platform.example/chat");
    let Listen::Tls { files, .. } = &config.listen[0] else { panic!("the first place to listen on is TLS") };
    assert_eq!(files.client_authorities.as_deref(), Some(Path::new("/etc/byokd/tls/clients.pem")));
    assert_eq!(files.client_certificates, ClientCertificates::Required);
    let grants: Vec<_> = config.callers[0].grants.iter().map(ToString::to_string).collect();
    assert_eq!(grants, ["platform-service", "platform-operator"]);
    assert_eq!(config.callers[0].expires.unwrap().to_string(), "2027-01-01T00:00:00.000Z");
}

/// The head is in the directory named for it, or else beside the database.
#[test]
fn the_head_has_its_place() {
    let read = |text: &str| config(text, Path::new("/etc/byokd")).unwrap().head();
    assert_eq!(read(GOOD), Path::new("/etc/byokd/byokd.db.head"));
    let elsewhere = GOOD.replace("workers = 2", "workers = 2\nstate_dir = \"/var/lib/byokd-state\"");
    assert_eq!(read(&elsewhere), Path::new("/var/lib/byokd-state/head"));
}

/// A file with many faults tells them all at once, each with its line and key.
#[test]
fn every_fault_is_reported_at_once() {
    let text = GOOD
        .replace("workers = 2", "workers = 0")
        .replace("0.0.0.0:7444", "everywhere")
        .replace("\"0660\"", "\"rw-rw----\"")
        .replace("idle = \"5m\"", "idel = \"5m\"")
        .replace("connections = 10", "connections = \"ten\"")
        .replace("2cf24dba", "zz")
        .replace("\"platform-operator\"", "\"operator\", \"workspace-owner\"")
        .replace("2027-01-01T00:00:00Z", "2027-01-01")
        .replace("format = \"text\"", "format = \"xml\"");
    assert_eq!(
        faults(&text),
        [
            "line 3: workers: is out of its bounds",
            "line 10: listen[0].tls: is not an address and port",
            "line 18: listen[1].mode: is not a socket's permissions",
            "line 25: limits.idel: is not known",
            "line 26: limits.connections: is a string where a whole number belongs",
            "line 30: callers[0].token_sha256: is not a SHA-256",
            "line 31: callers[0].grants: entry 2 is not a grant",
            "line 31: callers[0].grants: entry 3 is not a grant",
            "line 32: callers[0].expires: is not a date and time",
            "line 40: log.format: has a value that is not known",
        ]
    );
}

/// Each single fault is told by itself; nothing that is wrong is read as something else.
#[test]
fn each_fault_has_its_own_words() {
    let cases = [
        ("database = \"byokd.db\"", "", "database: is missing"),
        ("database = \"byokd.db\"", "database = \"\"", "line 2: database: is empty"),
        ("database = \"byokd.db\"", "database = [1]", "line 2: database: is an array where a text in quotes belongs"),
        ("[platform_key]\nfile = \"/etc/byokd/platform.key\"", "", "platform_key.file: is missing"),
        (
            "file = \"/etc",
            "vault_key = \"https://evil.example/keys/k\"\nfile = \"/etc",
            "line 7: platform_key.vault_key: the host must",
        ),
        ("key = \"tls/key.pem\"", "", "line 9: listen[0].key: is missing"),
        ("unix = \"/run/byokd/byokd.sock\"", "", "line 16: listen[1].: a place to listen on is either `tls` or `unix`"),
        ("unix =", "tcp = \"0.0.0.0:1\"\nunix =", "line 17: listen[1].tcp: is not known"),
        (
            "client_id = \"8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01\"",
            "client_id = \"app\"",
            "line 21: azure.client_id: is not a GUID",
        ),
        ("certificate_file = \"app.pem\"", "", "line 20: azure.: 0 credentials are given where one belongs"),
        ("certificate_file", "client_secret_file = \"x\"\ncertificate_file", "line 20: azure.: 2 credentials"),
        (
            "certificate_file",
            "endpoint = \"https://vault.example\"\ncertificate_file",
            "line 22: azure.endpoint: is not known",
        ),
        ("idle = \"5m\"", "idle = 300", "line 25: limits.idle: is an integer where a text in quotes belongs"),
        ("idle = \"5m\"", "idle = \"5 minutes\"", "line 25: limits.idle: is not a duration within its bounds"),
        ("name = \"platform\"", "name = \"a\\nb\"", "line 29: callers[0].name: is not a caller's name"),
        ("name = \"platform\"", "name = \"service\"", "line 29: callers[0].name: is not a caller's name"),
        ("name = \"platform\"", "name = \"plat\\u200bform\"", "line 29: callers[0].name: is not a caller's name"),
        ("token_sha256 =", "token =", "callers[0].token_sha256: is missing"),
        ("grants =", "# grants =", "callers[0].grants: is missing"),
        ("spiffe://platform.example/chat", "*.example", "callers[1].certificate: is not the name of a certificate"),
        ("client_authorities =", "# client_authorities =", "listen[0].client_certificates: nobody could vouch"),
        ("\"required\"", "\"maybe\"", "listen[0].client_certificates: has a value that is not known"),
        ("[\"platform-service\", \"platform-operator\"]", "[]", "line 31: callers[0].grants: is empty"),
        (
            "[\"platform-service\", \"platform-operator\"]",
            "\"*\"",
            "line 31: callers[0].grants: is a string where a list of texts in quotes belongs",
        ),
        ("\"platform-service\", ", "1, ", "line 31: callers[0].grants: is an integer where a text in quotes belongs"),
    ];
    for (from, to, expected) in cases {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from:?} is not in the file");
        let found = faults(&text);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected:?} is not in {found:#?}");
    }
}

/// What the service's limits are, with every fault among them at once; nothing of it has to be there.
#[test]
fn the_limits_of_the_service_are_read() {
    let with = |tables: &str| format!("{GOOD}\n{tables}");
    let read = |tables: &str| config(&with(tables), Path::new("/etc/byokd")).unwrap().options;
    let usual = read("");
    let seconds = Duration::from_secs;
    assert_eq!((usual.key_lease, usual.control_lease, usual.vault_share_percent), (seconds(300), seconds(300), 50));
    let set = read(
        "[leases]\nkey = \"2m\"\ncontrol = \"90s\"\n[vaults]\nshare_percent = 80\nreplicas = 3\noperations_in_10s = 4000\n\
         deadline = \"5s\"\ntest_deadline = \"1m\"\ncalls_per_workspace = 8\nlook_for_versions = \"never\"\n\
         [kept]\nbackups_days = 7\nusage_days = 30\ndata_key_days = 90",
    );
    assert_eq!((set.key_lease, set.control_lease), (seconds(120), seconds(90)));
    assert_eq!((set.vault_share_percent, set.replicas, set.vault_limit), (80, 3, Some(4_000)));
    assert_eq!((set.vault_deadline, set.test_deadline), (seconds(5), seconds(60)));
    assert_eq!((set.vault_calls_per_workspace, set.look_for_versions), (8, None));
    let day = seconds(24 * 3_600);
    assert_eq!((set.backups_kept, set.usage_kept, set.data_key_age), (7 * day, 30 * day, 90 * day));
    assert_eq!(read("[leases]\nkey = \"60s\"").control_lease, seconds(60), "C is never above H");
    assert_eq!(
        faults(&with(
            "[leases]\nkey = \"301s\"\ncontrol = \"1s\"\nprobe = \"1s\"\n[vaults]\nshare_percent = 0\nreplicas = \"3\"\n\
             look_for_versions = \"1s\"\n[kept]\nbackups_days = 0\nusage_days = 3651"
        )),
        [
            "line 44: leases.key: is not a duration within its bounds",
            "line 45: leases.control: is not a duration within its bounds",
            "line 46: leases.probe: is not known",
            "line 48: vaults.share_percent: is out of its bounds",
            "line 49: vaults.replicas: is a string where a whole number belongs",
            "line 50: vaults.look_for_versions: is not a duration within its bounds",
            "line 52: kept.backups_days: is out of its bounds",
            "line 53: kept.usage_days: is out of its bounds",
        ]
    );
    assert_eq!(
        faults(&with("[leases]\nkey = \"60s\"\ncontrol = \"61s\"")),
        ["line 45: leases.control: is longer than the key lease"]
    );
    assert_eq!(faults(&with("[leases]\nkey = \"1s\"")), ["line 43: leases.control: would be shorter than 2s"]);
}

/// Where vaults may be is said range by range and workspace by workspace; what would approve more than was meant is a fault.
#[test]
fn the_way_out_is_read() {
    let with = |tables: &str| format!("{GOOD}\n{tables}");
    let whole = "[vaults]\nnever = [\"10.0.0.0/24\"]\n[[vaults.private]]\nworkspace = \"acme\"\n\
                 ranges = [\"10.20.0.0/16\", \"fd12::/16\"]\n[outbound]\nproxy = \"http://proxy.example:3128\"";
    let read = config(&with(whole), Path::new("/etc/byokd")).unwrap().way_out;
    let approved = &read.approved.workspaces[&"acme".parse().unwrap()];
    assert_eq!(approved.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.20.0.0/16", "fd12::/16"]);
    assert!(read.never.contain("10.0.0.9".parse().unwrap()) && read.approved.platform.is_empty());
    assert_eq!(read.proxy.unwrap().to_string(), "proxy.example:3128");
    let nothing = config(GOOD, Path::new("/etc/byokd")).unwrap().way_out;
    assert!(nothing.never.is_empty() && nothing.approved.workspaces.is_empty() && nothing.proxy.is_none());
    assert_eq!(
        faults(&with(
            "[vaults]\nnever = [\"10.0.0.0\", \"10.0.0.0/24\"]\n[[vaults.private]]\nworkspace = \"*\"\nranges = [\"10.20.0.0/16\"]\n\
             [[vaults.private]]\nworkspace = \"acme\"\nranges = [\"20.0.0.0/8\", \"10.0.0.0/25\", \"0.0.0.0/0\", \"10.1.0.1/16\"]\n\
             [[vaults.private]]\nworkspace = \"acme\"\n[outbound]\nproxy = \"https://proxy.example\""
        )),
        [
            "line 44: vaults.never: entry 1 is not a range of addresses",
            "line 46: vaults.private[0].workspace: is not a workspace",
            "line 50: vaults.private[1].ranges: entry 1 is not private: addresses of the internet need no approval",
            "line 50: vaults.private[1].ranges: entry 2 lies in 10.0.0.0/24, which vaults.never excludes",
            "line 50: vaults.private[1].ranges: entry 3 is not a range of addresses",
            "line 50: vaults.private[1].ranges: entry 4 is not a range of addresses",
            "line 51: vaults.private[2].ranges: is missing",
            "line 52: vaults.private[2].workspace: is named twice",
            "line 54: outbound.proxy: is not a proxy that can be used",
        ]
    );
    let platform = GOOD.replace("/platform.key\"", "/platform.key\"\nprivate = [\"10.0.5.0/28\"]");
    let read = config(&platform, Path::new("/etc/byokd")).unwrap().way_out.approved;
    assert!(read.platform.contain("10.0.5.1".parse().unwrap()) && read.workspaces.is_empty());
}

/// Figures are served to this machine alone, and only where that is asked for.
#[test]
fn the_place_for_figures_is_read() {
    let with = |table: &str| format!("{GOOD}\n[metrics]\n{table}");
    let read = |table: &str| config(&with(table), Path::new("/etc/byokd")).unwrap().metrics.unwrap();
    assert_eq!(read("listen = \"127.0.0.1:9464\""), Metrics::Loopback("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(read("unix = \"m.sock\""), Metrics::Unix("/etc/byokd/m.sock".into()));
    assert_eq!(config(GOOD, Path::new("/etc/byokd")).unwrap().metrics, None);
    for (table, fault) in [
        ("listen = \"0.0.0.0:9464\"", "metrics.listen: is not a loopback address"),
        ("listen = \"9464\"", "metrics.listen: is not an address and port"),
        ("", "metrics.: a place for figures is either"),
        ("listen = \"127.0.0.1:1\"\nunix = \"x\"", "metrics.: a place for figures is either"),
        ("listen = \"127.0.0.1:1\"\ntls = \"x\"", "metrics.tls: is not known"),
    ] {
        let found = faults(&with(table));
        assert!(found.iter().any(|found| found.contains(fault)), "{fault:?} is not in {found:#?}");
    }
}

/// The place for Event Grid is TLS with a secret, and nothing listens there unless it is asked for.
#[test]
fn the_place_for_event_grid_is_read() {
    let with = |table: &str| format!("{GOOD}\n[webhook]\n{table}");
    let whole = "tls = \"0.0.0.0:7481\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nsecret_file = \"secret\"";
    let read = config(&with(whole), Path::new("/etc/byokd")).unwrap().webhook.unwrap();
    assert_eq!((read.address.port(), read.secret_file.as_path()), (7481, Path::new("/etc/byokd/secret")));
    assert_eq!(
        faults(&with("http = \"0.0.0.0:7481\"\nkey = \"key.pem\"")),
        [
            "line 43: webhook.tls: is missing",
            "line 43: webhook.certificate: is missing",
            "line 43: webhook.secret_file: is missing",
            "line 44: webhook.http: is not known",
        ]
    );
    assert_eq!(
        faults(&with(&whole.replace("0.0.0.0:7481", "here"))),
        ["line 44: webhook.tls: is not an address and port"]
    );
}

/// An issuer says everything that its tokens may be, and every slip in it is told.
#[test]
fn issuers_are_read_whole() {
    let with = |table: &str| format!("{GOOD}\n{table}");
    let whole = "[[issuers]]\nissuer = \"https://issuer.example/t\"\naudience = \"byokd\"\ntrust = \"ca.pem\"\n\
                 algorithms = [\"ES256\"]\nlongest_life = \"2h\"\n[[issuers.subjects]]\n\
                 subject = \"system:serviceaccount:chat:*\"\nname = \"k8s-chat\"\ngrants = [\"platform-service\"]";
    let read = config(&with(whole), Path::new("/etc/byokd")).unwrap().issuers;
    assert_eq!((read[0].issuer.as_str(), read[0].jwks.as_ref()), ("https://issuer.example/t", None));
    assert_eq!(read[0].trust.as_deref(), Some(Path::new("/etc/byokd/ca.pem")));
    assert_eq!((read[0].longest_life.as_secs(), read[0].refresh.as_secs()), (7_200, 300));
    assert_eq!(read[0].subjects[0].name, "k8s-chat");
    let broken = whole
        .replace("https://issuer", "http://issuer")
        .replace("audience =", "audiance =")
        .replace("\"ES256\"", "\"ES256\", \"HS256\"")
        .replace("\"2h\"", "\"25h\"")
        .replace("chat:*\"", "*:*\"")
        .replace("k8s-chat", "chat")
        .replace("platform-service", "everything");
    assert_eq!(
        faults(&with(&broken)),
        [
            "line 43: issuers[0].audience: is missing",
            "line 44: issuers[0].issuer: is not an issuer's address",
            "line 45: issuers[0].audiance: is not known",
            "line 47: issuers[0].algorithms: names an algorithm that is not accepted",
            "line 48: issuers[0].longest_life: is not a duration within its bounds",
            "line 50: issuers[0].subjects[0].subject: is not a subject",
            "line 51: issuers[0].subjects[0].name: is given to two callers",
            "line 52: issuers[0].subjects[0].grants: entry 1 is not a grant",
        ]
    );
    for good in ["https://[2603:1020::1]:8443/t", "https://[fd00::1]/t", "https://[::1]:8443/t"] {
        let read = config(&with(&whole.replace("https://issuer.example/t", good)), Path::new("/etc/byokd")).unwrap();
        assert_eq!(read.issuers[0].issuer, good);
    }
    for bad in [
        "https://u@issuer.example",
        "https://issuer.example/?q",
        "https://169.254.169.254/t",
        "https://[::ffff:169.254.169.254]/t",
        "https://[fd00:ec2::254]/t",
        "https://[64:ff9b::a9fe:a9fe]/t",
        "https://[fe80::1]/t",
        "https://[fe80::1%25eth0]/t",
        "https://[2001:db8::1/t",
        "https://2603:1020::1/t",
        "issuer",
    ] {
        let found = faults(&with(&whole.replace("https://issuer.example/t", bad)));
        assert_eq!(found, ["line 44: issuers[0].issuer: is not an issuer's address"], "{bad}");
    }
    let twice = format!("{whole}\n{}", whole.replace("k8s-chat", "other"));
    assert_eq!(faults(&with(&twice)), ["line 54: issuers[1].issuer: is configured twice"]);
}

/// Two callers are two: a name or a token given twice is refused.
#[test]
fn callers_are_told_apart() {
    let again = GOOD.find("[[callers]]").map(|at| GOOD[at..GOOD.find("[log]").unwrap()].to_owned()).unwrap();
    let found = faults(&GOOD.replace("[log]", &format!("{again}\n[log]")));
    assert!(found.iter().any(|fault| fault.contains("callers[2].name: is given to two callers")), "{found:#?}");
    assert!(found.iter().any(|fault| fault.contains("is the same token as that of platform")), "{found:#?}");
    assert!(found.iter().any(|fault| fault.contains("is the same certificate as that of chat")), "{found:#?}");
}

/// A file cut off anywhere is either refused or, cut between two tables, still a whole one: never a panic.
#[test]
fn a_truncated_file_never_panics() {
    let mut refused = 0;
    for end in 0..GOOD.len() {
        refused += usize::from(config(&GOOD[..end], Path::new("/etc/byokd")).is_err());
    }
    assert!(refused > GOOD.len() * 3 / 4, "{refused} of {}", GOOD.len());
}
