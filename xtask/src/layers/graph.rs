//! The dependency graph of the workspace, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

/// What the rules look at.
#[derive(Default, Clone)]
pub(crate) struct Graph {
    /// The crates of the workspace, by name.
    pub(crate) ours: BTreeMap<String, OurCrate>,
    /// Normal edges between all packages, by name, as resolved; several versions of one package count as one.
    pub(crate) resolved: BTreeMap<String, BTreeSet<String>>,
}

/// One crate of the workspace, as declared in its manifest.
#[derive(Default, Clone)]
pub(crate) struct OurCrate {
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// `[lints] workspace = true`, in a workspace whose table forbids unsafe code.
    pub(crate) forbids_unsafe: bool,
}

/// One declared dependency.
#[derive(Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
}

/// What a dependency is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Normal => "dependency",
            Self::Build => "build-dependency",
            Self::Dev => "dev-dependency",
        }
    }
}

impl Graph {
    /// Reads the answer of `cargo metadata --format-version 1` and the manifests it names.
    pub(crate) fn read(metadata: &str, manifest: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(metadata).context("cargo metadata answered something else")?;
        let root = manifest(&format!("{}/Cargo.toml", metadata.workspace_root))?;
        let workspace_forbids = forbids_unsafe_in_workspace(&root)?;
        let names: BTreeMap<&str, &str> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();

        let mut graph = Self::default();
        for package in &metadata.packages {
            if metadata.workspace_members.contains(&package.id) {
                let inherits = inherits_lints(&manifest(&package.manifest_path)?)
                    .with_context(|| format!("in {}", package.manifest_path))?;
                let crate_ = OurCrate {
                    dependencies: package.dependencies.iter().map(Dependency::from).collect(),
                    features: package.features.clone(),
                    forbids_unsafe: workspace_forbids && inherits,
                };
                graph.ours.insert(package.name.clone(), crate_);
            }
        }
        for node in &metadata.resolve.nodes {
            let from = names[node.id.as_str()].to_owned();
            let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            graph.resolved.entry(from).or_default().extend(normal.map(|dep| names[dep.pkg.as_str()].to_owned()));
        }
        Ok(graph)
    }

    /// A shortest chain of normal dependencies from `from` to a package that `wanted` accepts, both ends included.
    pub(crate) fn chain(&self, from: &str, wanted: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
        let (start, _) = self.resolved.get_key_value(from)?;
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start.as_str()]);
        while let Some(at) = queue.pop_front() {
            for next in self.resolved.get(at).into_iter().flatten().map(String::as_str) {
                if next == start || came_from.contains_key(next) {
                    continue;
                }
                came_from.insert(next, at);
                if wanted(next) {
                    let mut chain = vec![next];
                    while let Some(before) = came_from.get(chain[chain.len() - 1]) {
                        chain.push(before);
                    }
                    chain.reverse();
                    return Some(chain);
                }
                queue.push_back(next);
            }
        }
        None
    }
}

/// Whether the root manifest's `[workspace.lints.rust]` says `unsafe_code = "forbid"` (not `deny`, which code can undo).
fn forbids_unsafe_in_workspace(manifest: &str) -> Result<bool> {
    let manifest: toml::Table = manifest.parse().context("the root Cargo.toml is not TOML")?;
    let level = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("lints")?.get("rust")?.get("unsafe_code"))
        .and_then(|lint| lint.as_str().or_else(|| lint.get("level")?.as_str()));
    Ok(level == Some("forbid"))
}

fn inherits_lints(manifest: &str) -> Result<bool> {
    let manifest: toml::Table = manifest.parse().context("a Cargo.toml is not TOML")?;
    Ok(manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) == Some(true))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<Declared>,
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Declared {
    name: String,
    kind: Option<String>,
    optional: bool,
}

impl From<&Declared> for Dependency {
    fn from(declared: &Declared) -> Self {
        let kind = match declared.kind.as_deref() {
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            _ => Kind::Normal, // cargo writes null; a kind it may add later is held to the strictest rule
        };
        Self { name: declared.name.clone(), kind, optional: declared.optional }
    }
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<NodeDependencyKind>,
}

#[derive(Deserialize)]
struct NodeDependencyKind {
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_workspace_wide_forbid_counts() {
        let forbids = |text: &str| forbids_unsafe_in_workspace(text).unwrap();
        assert!(forbids("[workspace.lints.rust]\nunsafe_code = \"forbid\""));
        assert!(forbids("[workspace.lints.rust]\nunsafe_code = { level = \"forbid\", priority = 1 }"));
        assert!(!forbids("[workspace.lints.rust]\nunsafe_code = \"deny\""));
        assert!(!forbids("[workspace]"));
        assert!(inherits_lints("[lints]\nworkspace = true").unwrap());
        assert!(!inherits_lints("[lints.rust]\nmissing_docs = \"warn\"").unwrap());
    }
}
