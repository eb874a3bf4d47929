//! Which edges of a graph break a rule, each with the rule's reason.

use super::{
    graph::{Graph, Kind, OurCrate},
    rules::{
        CRATES, Crate, DAEMON, DEVELOPMENT_CONNECTOR, DEVELOPMENT_CRATE, DEVELOPMENT_FEATURE, DEVELOPMENT_WAY_OUT,
        FEATURES_IN_DEVELOPMENT, FEATURES_IN_PRODUCTION, MAY_USE_UNSAFE, PURE, RESERVED, matches,
    },
};

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// What is there and may not be, e.g. "service → tonic (dependency)".
    pub(crate) what: String,
    /// The rule's reason.
    pub(crate) why: String,
}

fn violation(what: String, why: &str) -> Violation {
    Violation { what, why: why.to_owned() }
}

/// Every rule that the graph breaks.
pub(crate) fn violations(graph: &Graph) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, ours) in &graph.ours {
        match CRATES.iter().find(|rule| rule.name == name) {
            Some(rule) => among_ours(graph, ours, rule, &mut found),
            None => found.push(violation(
                format!("{name} has no rule"),
                "a new crate says in xtask's layers/rules.rs what it may depend on",
            )),
        }
        outside(name, ours, &mut found);
        if !ours.forbids_unsafe && !MAY_USE_UNSAFE.contains(&name.as_str()) {
            found.push(violation(
                format!("{name} does not inherit `unsafe_code = \"forbid\"`"),
                "only secmem may use unsafe; the others say `[lints] workspace = true`",
            ));
        }
    }
    for pure in PURE {
        let forbidden = |package: &str| pure.never.iter().any(|pattern| matches(pattern, package));
        if let Some(chain) = graph.chain(pure.name, forbidden) {
            found.push(violation(chain.join(" → "), pure.why));
        }
    }
    development_code(graph, &mut found);
    found
}

fn among_ours(graph: &Graph, ours: &OurCrate, rule: &Crate, found: &mut Vec<Violation>) {
    for dependency in &ours.dependencies {
        let bound = dependency.kind != Kind::Dev || rule.tests_too;
        let is_ours = graph.ours.contains_key(&dependency.name);
        if bound && is_ours && dependency.name != rule.name && !rule.may.allows(&dependency.name) {
            found.push(violation(edge(rule.name, &dependency.name, dependency.kind), rule.why));
        }
    }
}

fn outside(name: &str, ours: &OurCrate, found: &mut Vec<Violation>) {
    for dependency in ours.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev) {
        for reserved in RESERVED {
            let covered = reserved.packages.iter().any(|pattern| matches(pattern, &dependency.name));
            if covered && !reserved.for_.contains(&name) {
                found.push(violation(edge(name, &dependency.name, dependency.kind), reserved.why));
            }
        }
    }
}

/// The emulator is an optional dependency of the daemon, and only the feature `dev` brings it or the connector in.
fn development_code(graph: &Graph, found: &mut Vec<Violation>) {
    const WHY: &str = "a production build contains no code that could reach a vault anywhere but at its own address";
    let Some(daemon) = graph.ours.get(DAEMON) else { return };
    for dependency in daemon.dependencies.iter().filter(|dependency| dependency.name == DEVELOPMENT_CRATE) {
        if dependency.kind != Kind::Dev && !dependency.optional {
            found.push(violation(format!("{DAEMON} → {DEVELOPMENT_CRATE} is not optional"), WHY));
        }
    }
    let connectors = [DEVELOPMENT_CONNECTOR, DEVELOPMENT_WAY_OUT];
    let mut brings_it_in = vec![DEVELOPMENT_CRATE.to_owned(), format!("dep:{DEVELOPMENT_CRATE}")];
    for (of, connector) in connectors {
        brings_it_in.extend([format!("{of}/{connector}"), format!("{of}?/{connector}")]);
    }
    for (feature, enables) in &daemon.features {
        for enabled in enables.iter().filter(|enabled| brings_it_in.contains(enabled)) {
            if feature != DEVELOPMENT_FEATURE {
                found.push(violation(format!("feature `{feature}` of {DAEMON} enables {enabled}"), WHY));
            }
        }
    }
    for (of, connector) in connectors {
        let by_default = graph.ours.get(of).and_then(|of| of.features.get("default"));
        if by_default.is_some_and(|on| on.iter().any(|feature| feature == connector)) {
            found.push(violation(format!("{of} has `{connector}` on by default"), WHY));
        }
    }
}

/// A build of the daemon, as `cargo tree` shows it.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    /// `--no-default-features`.
    Production,
    /// What `cargo run` builds.
    Development,
}

/// What a build of the daemon contains and may not. `tree` has lines of `--format '{p}|{f}'`: package, then features.
pub(crate) fn in_build(build: Build, graph: &Graph, tree: &str) -> Vec<Violation> {
    let (called, features, crates) = match build {
        Build::Production => ("production", FEATURES_IN_PRODUCTION, &[DEVELOPMENT_CRATE, "testkit"][..]),
        Build::Development => ("development", FEATURES_IN_DEVELOPMENT, &["testkit"][..]),
    };
    let why = "what a daemon is built from has no test code, and in production nothing that leads to another vault";
    let mut found = Vec::new();
    for (package, on) in tree.lines().filter_map(|line| line.split_once('|')) {
        let name = package.split(' ').next().unwrap_or_default();
        if crates.contains(&name) {
            found.push(violation(format!("the {called} build contains {name}"), why));
        }
        // "a,b", with " (*)" behind it when the package was shown before.
        let on = on.split(' ').next().unwrap_or_default().split(',').filter(|feature| !feature.is_empty());
        for feature in on.filter(|feature| graph.ours.contains_key(name) && !features.contains(&(name, feature))) {
            found.push(violation(format!("the {called} build has the feature {feature} of {name}"), why));
        }
    }
    found.sort_by(|a, b| a.what.cmp(&b.what));
    found.dedup();
    found
}

fn edge(from: &str, to: &str, kind: Kind) -> String {
    format!("{from} → {to} ({})", kind.word())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
