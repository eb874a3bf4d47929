//! Watching which apps are under the customer's key, from the command line: every change as it comes, and an end that is said.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::program::{Byokctl, Ended, ended, signal};
use crate::site::Site;

/// A watch that runs, and the lines it prints.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(ctl: &Byokctl, more: &[&str]) -> Self {
        let mut child = ctl.spawn(&[&["key", "watch", "acme"][..], more].concat());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("the watch goes on")
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    async fn end(self) -> Ended {
        drop(self.lines);
        ended(self.child).await
    }
}

async fn site() -> Site {
    let site = Site::start().await;
    site.acme().await;
    site.under_customer_key().await;
    site
}

fn protections(selection: &Value) -> Vec<(String, Value)> {
    let of =
        |app: &Value| (app["app"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), app["protection"].clone());
    selection["apps"].as_array().unwrap().iter().map(of).collect()
}

/// I-13: the selection as it is, then a line for each change with a higher revision and the time every replica goes by it, until
/// Ctrl-C ends it with the exit code of an interrupt and the word that nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_a_line_until_it_is_interrupted() {
    let site = site().await;
    let ctl = Byokctl::of(&site);
    let mut watch = Watch::start(&ctl, &["--output", "json"]);
    let first = watch.json().await;
    assert_eq!((&first["workspace"], &first["every_app"]), (&"workspaces/acme".into(), &true.into()));
    let both =
        |orders: &str, bot: &str| vec![("other-app".to_owned(), orders.into()), ("support-bot".to_owned(), bot.into())];
    assert_eq!(protections(&first), both("CUSTOMER_KEY", "CUSTOMER_KEY"));

    let select = ["key", "select", "acme", "--only", "support-bot", "--output", "json"];
    let selected = ctl.run(&select).await.good().json();
    let second = watch.json().await;
    assert_eq!((&second["revision"], &second["effective_time"]), (&selected["revision"], &selected["effective_time"]));
    assert!(second["revision"].as_u64() > first["revision"].as_u64(), "{first} {second}");
    assert_eq!((&second["every_app"], protections(&second)), (&false.into(), both("PLATFORM_KEY", "CUSTOMER_KEY")));

    ctl.run(&["key", "revoke", "acme", "--yes"]).await.good();
    let third = watch.json().await;
    assert_eq!((&third["revoked"], &protections(&third)[1].1), (&true.into(), &Value::Null), "{third}");

    signal(&watch.child, rustix::process::Signal::INT);
    let ended = watch.end().await.bad(130);
    assert!(ended.stderr.contains("begins with the selection as it is then"), "{}", ended.stderr);
}

/// People see every app first, then only what changed, in the same columns; and when the service is told to stop, the watch ends at
/// once, with the service's exit code and what to do next.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_a_watch_with_what_to_do_next() {
    let mut site = site().await;
    let ctl = Byokctl::of(&site);
    let mut watch = Watch::start(&ctl, &[]);
    let heads = watch.line().await;
    assert!(heads.starts_with("REVISION  EFFECTIVE") && heads.ends_with("NEW DATA UNDER"), "{heads}");
    let column = heads.find("NEW DATA").unwrap();
    for app in ["other-app", "support-bot"] {
        let line = watch.line().await;
        assert!(line.contains(app) && line[column..] == *"CUSTOMER_KEY", "{line}");
    }
    assert!(watch.line().await.contains("(future ones)"));
    ctl.run(&["key", "select", "acme", "--remove", "other-app"]).await.good();
    let line = watch.line().await;
    assert!(line.contains("other-app") && line[column..] == *"PLATFORM_KEY", "{line}");
    assert!(watch.line().await.contains("(future ones)"));

    site.stop();
    let ended = watch.end().await.bad(4);
    assert!(ended.stderr.contains("SHUTTING_DOWN") && ended.stderr.contains("watch again"), "{}", ended.stderr);
    assert_eq!(site.stopped().await.cut, 0, "the drain waited for nobody");
}

/// A workspace that is not there is said before the first line; one that is deleted ends its watch, and watching again is no advice.
#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_gone_ends_its_watch() {
    let site = site().await;
    let ctl = Byokctl::of(&site);
    let nobody = ctl.run(&["key", "watch", "nobody"]).await.bad(2);
    assert!(nobody.stderr.contains("NOT_FOUND") && nobody.stdout.is_empty(), "{}", nobody.stderr);
    let mut watch = Watch::start(&ctl, &["--output", "json"]);
    watch.json().await;
    ctl.run(&["workspace", "delete", "acme", "--yes"]).await.good();
    let ended = watch.end().await.bad(2);
    assert!(ended.stderr.contains("NOT_FOUND") && !ended.stderr.contains("watch again"), "{}", ended.stderr);
}
