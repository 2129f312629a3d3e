//! What the later steps need to know of a valid manifest.

use sower_crds::IntegrationSpec;
use sower_crds::integration as crd;

use super::integration::lines;
use super::tree::Node;
use crate::catalog::{Annotations, Dependency, Lifecycle, Stability, Summary};

/// The summary of a valid spec, without its checksum and what its envelope says.
pub(crate) fn of(spec: &IntegrationSpec, node: &Node, id_line: u32) -> Summary {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Summary {
        id: spec.id.clone().unwrap_or_default(),
        name: spec.name.clone(),
        version: spec.version.clone(),
        checksum: String::new(),
        stability: match spec.stability {
            crd::Stability::Stable => Stability::Stable,
            crd::Stability::Beta => Stability::Beta,
            crd::Stability::Experimental => Stability::Experimental,
        },
        lifecycle: match spec.lifecycle {
            crd::Lifecycle::Draft => Lifecycle::Draft,
            crd::Lifecycle::Published => Lifecycle::Published,
            crd::Lifecycle::Deprecated => Lifecycle::Deprecated,
        },
        replaced_by: spec.replaced_by.clone(),
        environment: spec.environment.clone(),
        min_platform_version: spec.min_platform_version.clone(),
        dependencies: dependencies(node),
        actions: count(spec.actions.len()),
        triggers: count(spec.triggers.len()),
        connections: count(spec.connections.len()),
        events: count(spec.events.len()),
        lines: lines(node, id_line),
        annotations: Annotations::default(),
    }
}

fn dependencies(node: &Node) -> Vec<Dependency> {
    let one = |node: &Node| {
        let (id, range) = split_dependency(node.text()?);
        Some(Dependency { id: id.to_owned(), range: range.map(str::to_owned), line: node.mark.line })
    };
    node.list_at("dependencies").iter().filter_map(one).collect()
}

/// `id` or `id@range`.
pub(crate) fn split_dependency(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((id, range)) => (id.trim(), Some(range.trim())),
        None => (text.trim(), None),
    }
}
