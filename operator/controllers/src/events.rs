//! Kubernetes Events: one per change, in the namespace of the object they are about.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Resource};

use crate::secrets::PATIENCE;
use crate::status::{Notice, Tone};

/// Who reports: the column `From` of `kubectl describe`.
const CONTROLLER: &str = "sower";
/// The longest note that the API takes, in bytes.
const LONGEST: usize = 1024;

/// Writes Events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
}

impl Events {
    /// In the name of one process.
    #[must_use]
    pub fn new(client: Client, instance: impl Into<String>) -> Self {
        Self { client, instance: instance.into() }
    }

    /// Says each. What cannot be said is logged: no reconcile fails of it.
    pub async fn say(&self, about: &impl Resource<DynamicType = ()>, notices: &[Notice]) {
        for notice in notices {
            if let Err(error) = self.publish(about, notice, false).await {
                tracing::warn!(%error, reason = notice.reason, "the event cannot be written");
            }
        }
    }

    /// Whether the namespace of an object is going: nothing can be made in it any more.
    pub async fn is_going(&self, about: &impl Resource<DynamicType = ()>) -> bool {
        let probe = Notice { tone: Tone::Normal, reason: "Probe".into(), message: String::new() };
        match self.publish(about, &probe, true).await {
            Err(kube::Error::Api(status)) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
            }
            _ => false,
        }
    }

    async fn publish(
        &self,
        about: &impl Resource<DynamicType = ()>,
        notice: &Notice,
        dry_run: bool,
    ) -> Result<(), kube::Error> {
        let reference = about.object_ref(&());
        let now = Timestamp::now();
        let namespace = reference.namespace.clone().unwrap_or_default();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!(
                    "{}.{:x}",
                    reference.name.as_deref().unwrap_or(CONTROLLER),
                    now.as_nanosecond()
                )),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(notice.reason.clone()),
            reason: Some(notice.reason.clone()),
            note: Some(bounded(&notice.message)),
            type_: Some(match notice.tone {
                Tone::Normal => "Normal".to_owned(),
                Tone::Warning => "Warning".to_owned(),
            }),
            event_time: Some(MicroTime(now)),
            regarding: Some(reference),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let params = PostParams { dry_run, ..PostParams::default() };
        match tokio::time::timeout(PATIENCE, api.create(&params, &event)).await {
            Ok(outcome) => outcome.map(drop),
            Err(_) => Err(kube::Error::Service("no answer in time".into())),
        }
    }
}

fn bounded(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = (0..=LONGEST - 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_at_most_a_kibibyte_of_whole_characters() {
        assert_eq!(bounded("short"), "short");
        for text in ["a".repeat(1025), "ä".repeat(900), "𝄞".repeat(400)] {
            let note = bounded(&text);
            assert!(
                note.len() <= LONGEST && note.len() > LONGEST - 8 && note.ends_with('…'),
                "{}",
                note.len()
            );
        }
    }
}
