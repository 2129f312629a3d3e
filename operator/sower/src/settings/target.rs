//! Files or a cluster: what was typed says it, then a variable, then `sower.toml`.

use super::{Origin, Setting, SettingsFile};
use crate::cli::{TargetKind, Where};
use crate::failure::Failure;

/// Where a command acts.
///
/// # Errors
/// Usage, where flags of the one stand beside the other.
pub(super) fn target(
    at: &Where,
    all_namespaces: bool,
    file: &SettingsFile,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Setting<TargetKind>, Failure> {
    let parse = |text: &str, origin: &Origin| match text {
        "files" => Ok(TargetKind::Files),
        "cluster" => Ok(TargetKind::Cluster),
        _ => Err(Failure::usage(format!("{origin}: the target is `files` or `cluster`, not `{text}`"))),
    };
    let implied = [
        (at.namespace.is_some(), "--namespace"),
        (at.context.is_some(), "--context"),
        (at.kubeconfig.is_some(), "--kubeconfig"),
        (all_namespaces, "--all-namespaces"),
    ]
    .into_iter()
    .find_map(|(set, name)| set.then_some(name));
    let setting = match (at.target, implied) {
        (Some(TargetKind::Files), Some(flag)) => {
            return Err(Failure::usage(format!("{flag} asks a cluster, and --target files asks none")));
        }
        (Some(kind), _) => Setting { value: kind, origin: Origin::Flag("--target") },
        (None, Some(flag)) => Setting { value: TargetKind::Cluster, origin: Origin::Flag(flag) },
        (None, None) if at.environments.is_some() || at.source.is_some() => {
            let flag = if at.environments.is_some() { "--environments" } else { "--source" };
            Setting { value: TargetKind::Files, origin: Origin::Flag(flag) }
        }
        (None, None) => match (variable("SOWER_TARGET"), &file.target) {
            (Some(text), _) => {
                let origin = Origin::Variable("SOWER_TARGET");
                Setting { value: parse(&text, &origin)?, origin }
            }
            (None, Some(text)) => Setting { value: parse(text, &Origin::File)?, origin: Origin::File },
            (None, None) => Setting { value: TargetKind::Files, origin: Origin::Default },
        },
    };
    if setting.value == TargetKind::Cluster {
        for (set, flag) in [(at.environments.is_some(), "--environments"), (at.source.is_some(), "--source")]
        {
            if set {
                return Err(Failure::usage(format!(
                    "{flag} names files, and {} asks a cluster: its Environments name their own sources",
                    setting.origin
                )));
            }
        }
    }
    Ok(setting)
}
