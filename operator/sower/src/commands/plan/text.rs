//! A plan as people read it, and what its changes mean for users.

use sower_controllers::seeding::Planned;
use sower_core::compare::Change;
use sower_core::compatibility::{self, Compatibility, Judged};
use sower_core::plan::{Denied, Kept, KeptWhy, Operation, Verb};
use sower_core::promotion::Waiting;
use sower_core::rollout::stages::not_known;

use super::{Made, is_emptied};
use crate::commands::seed;
use crate::output::changes;

impl Made {
    /// What changes inside an integration that is updated.
    pub(super) fn inside(&self, id: &str) -> Option<&[Judged]> {
        self.updates.iter().find(|(known, _)| known == id).map(|(_, judged)| judged.as_slice())
    }

    /// How many rollouts end while everybody keeps what they have.
    pub(super) fn given_up(&self) -> usize {
        let Planned { plan, state, .. } = &self.planned;
        plan.operations.iter().filter(|operation| state.gives_up(operation)).count()
    }

    /// What an operation means for those who use the integration; none: nothing is changed of what all have, or that is not
    /// known.
    pub(super) fn means(&self, operation: &Operation) -> Option<Compatibility> {
        match operation.verb {
            _ if self.planned.state.gives_up(operation) => None,
            Verb::Create => Some(Compatibility::Compatible),
            Verb::Remove => Some(Compatibility::Breaking),
            Verb::Move => Some(Compatibility::Documentation),
            Verb::Update => {
                let judged = self.inside(&operation.id)?;
                Some(compatibility::worst(judged).unwrap_or(Compatibility::Documentation))
            }
        }
    }

    /// Updates that break somebody's use although their version says that they do not.
    pub(super) fn understated(&self) -> impl Iterator<Item = String> {
        let operations = self.planned.plan.operations.iter().filter(|operation| !operation.revert);
        operations.filter_map(|operation| compatibility::understated(operation, self.inside(&operation.id)?))
    }

    /// What waits for another environment.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let scope = self.planned.plan.scope.as_ref();
        let within = |one: &&Waiting| scope.is_none_or(|only| only.contains(&one.integration));
        let admission = self.planned.state.admission.iter();
        admission.flat_map(|admission| admission.waits.values()).filter(within).cloned().collect()
    }

    /// One entry for each integration.
    pub(super) fn lines(&self) -> Vec<String> {
        let plan = &self.planned.plan;
        let removed = seed::removed(&self.planned);
        let mut lines = Vec::new();
        for operation in changes::in_order(&plan.operations) {
            let why = removed.iter().find(|(id, _)| *id == operation.id && operation.verb == Verb::Remove);
            let why = why.map(|(_, why)| format!("   {why}")).unwrap_or_default();
            let inside = self.inside(&operation.id).map(inside_of).unwrap_or_default();
            let means = self.means(operation).filter(|_| operation.verb == Verb::Update);
            let means = means.map(|means| format!("   {}", means.as_str())).unwrap_or_default();
            let unknown = self.unknown.get(&operation.id).and_then(|unknown| not_known(unknown));
            let unknown = unknown.map(|unknown| format!("   {unknown}")).unwrap_or_default();
            let line = changes::operation(operation, &self.planned.state);
            // One entry of the list: a cut never parts an integration from what changes inside it.
            lines.push(format!("{line}{unknown}{means}{why}{inside}"));
        }
        lines.extend(plan.conflicts.iter().map(changes::conflict));
        let denied = &self.planned.state.denied;
        lines.extend(plan.kept.iter().filter_map(|one| match denied.get(&one.id) {
            Some(Denied { path: _, why }) if one.why == KeptWhy::Understated => {
                let version = one.version.as_deref().unwrap_or_default();
                Some(format!("= {} {version}   kept: {why}", one.id))
            }
            _ => kept(one, is_emptied(&self.planned, one)),
        }));
        lines.extend(changes::waits(&self.waiting(), jiff::Timestamp::now()));
        lines
    }
}

/// The changes inside an integration, one line each, in columns; what is breaking says why.
pub fn inside_of(inside: &[Judged]) -> String {
    let name = |change: &Change| change.item.clone().unwrap_or_else(|| change.pointer.clone());
    let all = || inside.iter().map(|judged| &judged.change);
    let kinds = all().map(|change| change.kind.chars().count()).max().unwrap_or(0) + 2;
    let items = all().filter(|change| change.item.is_some());
    let items = items.map(|change| name(change).chars().count()).max().unwrap_or(0) + 4;
    let pointers = all().filter(|change| change.item.is_some());
    let pointers = pointers.map(|change| change.pointer.chars().count()).max().unwrap_or(0) + 3;
    let line = |Judged { change, why, .. }: &Judged| {
        let (mark, kind, item) = (changes::mark(change.verb()), change.kind, name(change));
        let words = [
            change.word().to_owned(),
            why.as_ref().map(|why| format!("breaking: {why}")).unwrap_or_default(),
        ];
        let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("; ");
        let line = match change.item {
            Some(_) => {
                format!("    {mark} {kind:kinds$}{item:items$}{:pointers$}{words}", change.pointer)
            }
            None => {
                let wide = items.max(item.chars().count() + 3);
                format!("    {mark} {kind:kinds$}{item:wide$}{words}")
            }
        };
        format!("\n{}", line.trim_end())
    };
    inside.iter().map(line).collect()
}

fn kept(kept: &Kept, emptied: bool) -> Option<String> {
    let why = match kept.why {
        KeptWhy::Invalid if emptied => "kept: its file is there, and holds no manifest",
        KeptWhy::Invalid if kept.version.is_none() => "left out: its manifest is invalid",
        KeptWhy::Invalid => "kept: its manifest is invalid",
        KeptWhy::ForeignRow => "left alone: a row that Sower did not write holds this id",
        KeptWhy::NotPruned => "kept: gone from its source, and spec.prune is false",
        KeptWhy::PruneDisabled => "kept: gone from its source, and sower.dev/prune is disabled",
        KeptWhy::SourceKeepsAll => {
            "kept: gone from its source, which is empty, not whole, or holds an unreadable id"
        }
        KeptWhy::Orphaned => "kept: allowedIntegrations no longer names it",
        KeptWhy::Quarantined if kept.version.is_none() => "left out: it was rolled back",
        KeptWhy::Quarantined => "kept: rolled back to, and git has nothing newer",
        KeptWhy::AwaitsRollout => "waits: it needs a version that is being rolled out",
        // Why is told beside it.
        KeptWhy::NotNamed | KeptWhy::Understated | KeptWhy::NotPromoted => return None,
    };
    let version = kept.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    Some(format!("= {}{version}   {why}", kept.id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_inside_stand_in_columns() {
        let from = json!({
            "actions": [{ "id": "create-refund", "inputSchema": { "properties": {} } }],
            "triggers": [{ "id": "charge.refunded", "description": "a" }],
        });
        let to = json!({
            "actions": [{ "id": "create-refund", "inputSchema": { "properties": { "reason": {} } } }, { "id": "list-payouts" }],
            "triggers": [{ "id": "charge.refunded", "description": "b" }],
        });
        let expected = "
    + action   list-payouts
    ~ action   create-refund      /inputSchema/properties/reason   added
    ~ trigger  charge.refunded    /description";
        assert_eq!(inside_of(&compatibility::judge(&from, &to)), expected);
    }
}
