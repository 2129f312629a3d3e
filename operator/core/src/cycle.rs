//! The order in which dependencies are settled, and the circles in it.

use std::collections::BTreeMap;

use crate::conflict::listed;
use crate::plan::Wanted;

/// Integrations that need each other, or one that needs none of its dependents.
pub(crate) struct Component<'a> {
    /// Sorted.
    pub members: Vec<&'a str>,
    /// How they need each other; absent where there is no circle.
    pub cycle: Option<String>,
}

/// What is known of a node while the graph is walked.
#[derive(Clone, Copy)]
struct Mark {
    index: usize,
    low: usize,
    open: bool,
}

/// The strongly connected components of the graph that `nodes` and their dependencies make, dependencies first (Tarjan's
/// algorithm with its own stack: a chain of any length does not exhaust ours).
pub(crate) fn components<'a>(nodes: &BTreeMap<&'a str, &'a Wanted>) -> Vec<Component<'a>> {
    let ids: Vec<&'a str> = nodes.keys().copied().collect();
    let number: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(n, id)| (*id, n)).collect();
    let edges: Vec<Vec<usize>> = nodes
        .values()
        .map(|wanted| {
            let mut to: Vec<usize> = wanted
                .summary
                .dependencies
                .iter()
                .filter_map(|d| number.get(d.id.as_str()).copied())
                .collect();
            to.sort_unstable();
            to.dedup();
            to
        })
        .collect();

    let mut marks: Vec<Option<Mark>> = vec![None; ids.len()];
    let mut open: Vec<usize> = Vec::new();
    let mut next = 0;
    let mut found = Vec::new();
    for root in 0..ids.len() {
        if marks[root].is_some() {
            continue;
        }
        // Each frame is a node and the number of its edges already followed.
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((node, followed)) = path.pop() {
            if followed == 0 {
                marks[node] = Some(Mark { index: next, low: next, open: true });
                next += 1;
                open.push(node);
            }
            if let Some(&to) = edges[node].get(followed) {
                path.push((node, followed + 1));
                match marks[to] {
                    None => path.push((to, 0)),
                    Some(there) if there.open => lower(&mut marks, node, there.index),
                    Some(_) => {}
                }
                continue;
            }
            let Some(mark) = marks[node] else { continue };
            if let Some(&(parent, _)) = path.last() {
                lower(&mut marks, parent, mark.low);
            }
            if mark.low == mark.index {
                let start = open.iter().rposition(|n| *n == node).unwrap_or(0);
                let mut members = open.split_off(start);
                for member in &members {
                    if let Some(mark) = &mut marks[*member] {
                        mark.open = false;
                    }
                }
                members.sort_unstable();
                let circular = members.len() > 1 || edges[node].contains(&node);
                let cycle = circular.then(|| tell(&members, &edges, &ids));
                found.push(Component { members: members.into_iter().map(|n| ids[n]).collect(), cycle });
            }
        }
    }
    found
}

fn lower(marks: &mut [Option<Mark>], node: usize, low: usize) {
    if let Some(mark) = &mut marks[node] {
        mark.low = mark.low.min(low);
    }
}

/// A plain circle as `a -> b -> a`, from the first in the alphabet; a knot by its members.
fn tell(members: &[usize], edges: &[Vec<usize>], ids: &[&str]) -> String {
    let inner = |node: usize| edges[node].iter().copied().filter(|to| members.binary_search(to).is_ok());
    let plain = members.iter().all(|member| inner(*member).count() == 1);
    if !plain || members.len() > crate::conflict::NAMES {
        return format!("{} need each other", listed(members.iter().map(|n| ids[*n]), members.len()));
    }
    let mut path = vec![members[0]];
    while let Some(to) = path.last().and_then(|node| inner(*node).next()) {
        path.push(to);
        if to == members[0] || path.len() > members.len() {
            break;
        }
    }
    format!("needs itself: {}", path.iter().map(|n| ids[*n]).collect::<Vec<_>>().join(" -> "))
}
