//! check-deps: which crate may reach which, directly or through others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What a crate of ours must never reach with what it ships (tests may).
struct Rule {
    package: &'static str,
    /// Exact names, or beginnings where they end in `*`.
    never: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        package: "mps-server",
        never: &["mps-media", "gstreamer*"],
        why: "the server never links GStreamer; probing is a unit",
    },
    Rule {
        package: "mps-worker",
        never: &["sea-orm*", "sqlx*", "aws-sdk-*", "aws-config", "aws-credential-types", "s3s*"],
        why: "a worker has no database and no storage credentials",
    },
    Rule {
        package: "mps-media",
        never: &["mps-queue", "redis"],
        why: "media knows files and plans only",
    },
    Rule {
        package: "mps-pixels",
        never: &["gstreamer*", "mps-proto"],
        why: "pixels are slices of bytes",
    },
    Rule {
        package: "mps-plan",
        never: &["gstreamer*", "reqwest", "sea-orm*", "redis"],
        why: "planning has no I/O",
    },
];

/// What a crate of ours may depend on directly among our own; crates that are not named may use any.
const OWN: &[(&str, &[&str])] = &[
    ("mps-client", &["mps-proto"]),
    ("mps-cli", &["mps-proto", "mps-client"]),
    ("mps-pixels", &[]),
    ("mps-plan", &["mps-proto"]),
    ("mps-proto", &[]),
];

/// What a crate of ours must not name in its own manifest, though others may bring it along (tonic brings tokio).
const NOT_DIRECTLY: &[(&str, &[&str])] = &[("mps-plan", &["tokio*", "hyper*", "tonic"])];

pub fn check() -> anyhow::Result<Vec<String>> {
    // Only what is built here: crates of other systems need not be downloaded.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = MetadataCommand::new()
        .other_options(vec!["--locked".to_owned(), "--filter-platform".to_owned(), platform])
        .exec()
        .context("cargo metadata does not answer")?;
    let graph = Graph::new(&metadata)?;
    let mut violations = Vec::new();
    for rule in RULES {
        violations.extend(graph.reached(rule)?);
    }
    for (package, allowed) in OWN {
        let strangers = graph
            .direct(package)?
            .into_iter()
            .filter(|name| graph.is_own(name) && !allowed.contains(&name.as_str()));
        violations.extend(strangers.map(|name| format!("{package} → {name}: it may use {} of ours only", allowed.join(", "))));
    }
    for (package, never) in NOT_DIRECTLY {
        let found = graph.direct(package)?.into_iter().filter(|name| matches_any(name, never));
        violations.extend(found.map(|name| format!("{package} → {name}: not in its manifest")));
    }
    Ok(violations)
}

/// Dependencies that are shipped: normal and build, not those of tests.
struct Graph {
    names: HashMap<PackageId, String>,
    edges: HashMap<PackageId, Vec<PackageId>>,
    own: BTreeMap<String, PackageId>,
}

impl Graph {
    fn new(metadata: &Metadata) -> anyhow::Result<Self> {
        let resolve = metadata.resolve.as_ref().context("cargo metadata has no graph")?;
        let edges = resolve.nodes.iter().map(|node| {
            let shipped = node
                .deps
                .iter()
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
            (node.id.clone(), shipped.map(|dependency| dependency.pkg.clone()).collect())
        });
        let own = metadata
            .workspace_packages()
            .into_iter()
            .map(|package| (package.name.to_string(), package.id.clone()));
        Ok(Self {
            edges: edges.collect(),
            own: own.collect(),
            names: metadata
                .packages
                .iter()
                .map(|package| (package.id.clone(), package.name.to_string()))
                .collect(),
        })
    }

    fn is_own(&self, name: &str) -> bool {
        self.own.contains_key(name)
    }

    fn id(&self, package: &str) -> anyhow::Result<&PackageId> {
        self.own
            .get(package)
            .with_context(|| format!("{package} is no crate of this workspace; the rules need it"))
    }

    fn name(&self, id: &PackageId) -> String {
        self.names.get(id).cloned().unwrap_or_default()
    }

    fn direct(&self, package: &str) -> anyhow::Result<Vec<String>> {
        let below = self.edges.get(self.id(package)?).map(Vec::as_slice).unwrap_or_default();
        Ok(below.iter().map(|id| self.name(id)).collect())
    }

    /// Forbidden crates that are reached, each with the way to it.
    fn reached(&self, rule: &Rule) -> anyhow::Result<Vec<String>> {
        let start = self.id(rule.package)?;
        let mut seen: BTreeSet<&PackageId> = BTreeSet::from([start]);
        let mut ways = vec![(start, rule.package.to_owned())];
        let mut violations = Vec::new();
        while let Some((id, way)) = ways.pop() {
            for next in self.edges.get(id).map(Vec::as_slice).unwrap_or_default() {
                if !seen.insert(next) {
                    continue;
                }
                let name = self.name(next);
                let way = format!("{way} → {name}");
                if matches_any(&name, rule.never) {
                    violations.push(format!("{way}: {}", rule.why));
                } else {
                    ways.push((next, way));
                }
            }
        }
        Ok(violations)
    }
}

fn matches_any(name: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let id = |name: &str| PackageId { repr: name.to_owned() };
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to)| to.iter().chain([from])).copied().collect();
        Graph {
            names: names.iter().map(|name| (id(name), (*name).to_owned())).collect(),
            own: edges.iter().map(|(name, _)| ((*name).to_owned(), id(name))).collect(),
            edges: edges
                .iter()
                .map(|(from, to)| (id(from), to.iter().map(|name| id(name)).collect()))
                .collect(),
        }
    }

    #[test]
    fn forbidden_crates_are_found_through_others() {
        let graph = graph(&[("mps-server", &["helper", "gst"]), ("helper", &["gstreamer-app"])]);
        let found = graph.reached(&RULES[0]).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("mps-server → helper → gstreamer-app"), "{found:?}");
    }

    #[test]
    fn a_rule_about_a_crate_that_is_gone_fails() {
        assert!(graph(&[("other", &[])]).reached(&RULES[0]).is_err());
    }

    #[test]
    fn this_workspace_keeps_its_rules() {
        assert_eq!(check().unwrap(), Vec::<String>::new());
    }
}
