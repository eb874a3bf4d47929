//! Each rule is shown to fail when the forbidden edge is put in.

use super::*;
use crate::layers::graph::Dependency;

/// A graph that keeps every rule, with one crate for each line of the table.
fn house() -> Graph {
    let mut graph = Graph::default();
    for rule in CRATES {
        let forbids_unsafe = !MAY_USE_UNSAFE.contains(&rule.name);
        graph.ours.insert(rule.name.to_owned(), OurCrate { forbids_unsafe, ..OurCrate::default() });
        graph.resolved.entry(rule.name.to_owned()).or_default();
    }
    for (from, to) in [
        ("vault", "domain"),
        ("vault", "azure_identity"),
        ("vault", "outbound"),
        ("identity", "outbound"),
        ("outbound", "domain"),
        ("outbound", "reqwest"),
        ("store", "domain"),
        ("store", "rusqlite"),
        ("service", "vault"),
        ("service", "store"),
        ("service", "identity"),
        ("service", "tokio"),
        ("client", "api"),
        ("client", "tonic"),
        ("byokctl", "client"),
        ("byokctl", "envelope"),
        ("azure-emulator", "axum"),
        ("byokd", "service"),
        ("byokd", "tonic"),
        ("testkit", "byokd"),
        ("xtask", "rusqlite"),
    ] {
        add(&mut graph, from, to, Kind::Normal);
    }
    let daemon = graph.ours.get_mut(DAEMON).unwrap();
    daemon.dependencies.push(Dependency { name: DEVELOPMENT_CRATE.to_owned(), kind: Kind::Normal, optional: true });
    daemon.features.insert("default".to_owned(), vec!["dev".to_owned()]);
    daemon
        .features
        .insert("dev".to_owned(), vec!["dep:azure-emulator".to_owned(), "vault/development-connector".to_owned()]);
    graph
}

fn add(graph: &mut Graph, from: &str, to: &str, kind: Kind) {
    let dependency = Dependency { name: to.to_owned(), kind, optional: false };
    if let Some(ours) = graph.ours.get_mut(from) {
        ours.dependencies.push(dependency);
    }
    if kind == Kind::Normal {
        graph.resolved.entry(from.to_owned()).or_default().insert(to.to_owned());
        graph.resolved.entry(to.to_owned()).or_default();
    }
}

/// What is reported when one edge is added to a house in order.
fn reported(from: &str, to: &str, kind: Kind) -> Vec<String> {
    let mut graph = house();
    add(&mut graph, from, to, kind);
    violations(&graph).into_iter().map(|violation| violation.what).collect()
}

#[test]
fn a_house_in_order_breaks_no_rule() {
    assert_eq!(violations(&house()), []);
}

#[test]
fn each_forbidden_edge_among_our_crates_is_reported() {
    for (from, to) in [
        ("envelope", "domain"),
        ("envelope", "secmem"),
        ("domain", "envelope"),
        ("secmem", "domain"),
        ("vault", "store"),
        ("store", "vault"),
        ("outbound", "vault"),
        ("outbound", "secmem"),
        ("service", "outbound"),
        ("identity", "service"),
        ("service", "api"),
        ("service", "azure-emulator"),
        ("api", "domain"),
        ("client", "domain"),
        ("byokctl", "service"),
        ("azure-emulator", "domain"),
        ("byokd", "testkit"),
    ] {
        for kind in [Kind::Normal, Kind::Build] {
            assert_eq!(reported(from, to, kind), [edge(from, to, kind)]);
        }
    }
}

#[test]
fn each_forbidden_outside_package_is_reported() {
    for (from, to) in [
        ("service", "tonic"),
        ("service", "axum"),
        ("service", "rusqlite"),
        ("service", "azure_core"),
        ("byokd", "azure_security_keyvault_keys"),
        ("byokd", "rusqlite"),
        ("service", "reqwest"),
        ("vault", "reqwest"),
        ("identity", "reqwest"),
        ("vault", "tokio-postgres"),
        ("store", "tonic-types"),
        ("identity", "clap"),
    ] {
        assert_eq!(reported(from, to, Kind::Normal), [edge(from, to, Kind::Normal)]);
    }
}

#[test]
fn tests_may_use_more_but_the_emulator_stays_alone() {
    assert_eq!(reported("envelope", "secmem", Kind::Dev), Vec::<String>::new());
    assert_eq!(reported("service", "testkit", Kind::Dev), Vec::<String>::new());
    assert_eq!(reported("service", "tonic", Kind::Dev), Vec::<String>::new());
    assert_eq!(reported("azure-emulator", "vault", Kind::Dev), [edge("azure-emulator", "vault", Kind::Dev)]);
}

/// A pure crate may not reach input or output through somebody else either; the chain is named.
#[test]
fn a_pure_crate_that_reaches_tokio_through_another_package_is_reported_with_the_way() {
    let mut graph = house();
    add(&mut graph, "domain", "innocent", Kind::Normal);
    add(&mut graph, "innocent", "tokio", Kind::Normal);
    let found: Vec<String> = violations(&graph).into_iter().map(|violation| violation.what).collect();
    assert_eq!(found, ["domain → innocent → tokio"]);
}

#[test]
fn a_crate_without_a_rule_is_reported() {
    let mut graph = house();
    graph.ours.insert("newcomer".to_owned(), OurCrate { forbids_unsafe: true, ..OurCrate::default() });
    assert_eq!(violations(&graph)[0].what, "newcomer has no rule");
}

#[test]
fn a_crate_that_may_use_unsafe_is_reported_unless_it_is_secmem() {
    let mut graph = house();
    graph.ours.get_mut("service").unwrap().forbids_unsafe = false;
    let found = violations(&graph);
    assert_eq!(found.len(), 1);
    assert!(found[0].what.starts_with("service does not inherit"));
}

#[test]
fn an_emulator_that_production_would_get_is_reported() {
    let mut always = house();
    always.ours.get_mut(DAEMON).unwrap().dependencies.iter_mut().for_each(|dependency| dependency.optional = false);
    assert_eq!(violations(&always)[0].what, "byokd → azure-emulator is not optional");

    let mut elsewhere = house();
    let features = &mut elsewhere.ours.get_mut(DAEMON).unwrap().features;
    features.insert("metrics".to_owned(), vec!["vault/development-connector".to_owned()]);
    assert_eq!(violations(&elsewhere)[0].what, "feature `metrics` of byokd enables vault/development-connector");

    let mut by_default = house();
    let features = &mut by_default.ours.get_mut("vault").unwrap().features;
    features.insert("default".to_owned(), vec!["development-connector".to_owned()]);
    assert_eq!(violations(&by_default)[0].what, "vault has `development-connector` on by default");

    // The crate that makes the connections is held to the same.
    let mut below = house();
    let features = &mut below.ours.get_mut(DAEMON).unwrap().features;
    features.insert("metrics".to_owned(), vec!["outbound/development-connector".to_owned()]);
    assert_eq!(violations(&below)[0].what, "feature `metrics` of byokd enables outbound/development-connector");
    let mut below = house();
    let features = &mut below.ours.get_mut("outbound").unwrap().features;
    features.insert("default".to_owned(), vec!["development-connector".to_owned()]);
    assert_eq!(violations(&below)[0].what, "outbound has `development-connector` on by default");
}

#[test]
fn development_and_test_code_in_a_build_of_the_daemon_is_reported() {
    let found = |build, tree: &str| -> Vec<String> {
        in_build(build, &house(), tree).into_iter().map(|violation| violation.what).collect()
    };
    let production = "byokd v0.1.0 (/home/a/byok d)|\nvault v0.1.0 (/home/a/vault)|\nazure_core v1.1.0|reqwest,tokio\n";
    assert_eq!(found(Build::Production, production), Vec::<String>::new());
    let development = "byokd v0.1.0 (/home/a)|default,dev\nvault v0.1.0 (/home/a/vault)|development-connector (*)\n\
                       outbound v0.1.0 (/home/a/outbound)|development-connector\nazure-emulator v0.1.0 (/home/a)|\n";
    assert_eq!(found(Build::Development, development), Vec::<String>::new());
    assert_eq!(
        found(Build::Production, development),
        [
            "the production build contains azure-emulator",
            "the production build has the feature default of byokd",
            "the production build has the feature dev of byokd",
            "the production build has the feature development-connector of outbound",
            "the production build has the feature development-connector of vault",
        ]
    );
    let bugs = "service v0.1.0 (/home/a/service)|seeded-bugs\nservice v0.1.0 (/home/a/service)|seeded-bugs (*)\n\
                testkit v0.1.0 (/home/a)|\n";
    assert_eq!(
        found(Build::Development, bugs),
        ["the development build contains testkit", "the development build has the feature seeded-bugs of service"]
    );
}
