//! The types that have a name of their own in generated documents: a definition in the editor's schema, a section in
//! the reference.

use serde_json::{Map, Value};

use crate::schema::annotated;
use crate::{
    action, case, connection, drift, environment, freeze, integration, notification, promotion, request,
    retention, rollout, source, trigger, webhook,
};

/// A type, its name, and its schema.
pub(crate) struct Named {
    /// As documents call it.
    pub name: &'static str,
    /// Its schema, annotated.
    pub schema: Value,
}

/// The types of a manifest, the outermost first.
pub(crate) fn of_manifest() -> Vec<Named> {
    vec![
        named::<integration::IntegrationSpec>("Integration"),
        named::<connection::CredentialField>("Credential"),
        named::<connection::Connection>("Connection"),
        named::<connection::OAuth2>("OAuth2"),
        named::<connection::Placement>("Placement"),
        named::<connection::Basic>("Basic"),
        named::<connection::Custom>("Custom"),
        named::<connection::Sign>("Sign"),
        named::<connection::ConnectionTest>("Test"),
        named::<request::Request>("Request"),
        named::<request::Graphql>("Graphql"),
        named::<action::Action>("Action"),
        named::<action::Pagination>("Pagination"),
        named::<action::PageLimit>("PageLimit"),
        named::<action::Idempotency>("Idempotency"),
        named::<action::ErrorRule>("Error"),
        named::<action::RateLimit>("RateLimit"),
        named::<action::Deprecated>("Deprecated"),
        named::<trigger::Trigger>("Trigger"),
        named::<trigger::Polling>("Polling"),
        named::<trigger::InitialRequest>("Initial"),
        named::<trigger::Lookup>("Lookup"),
        named::<trigger::Event>("Event"),
        named::<webhook::Webhook>("Webhook"),
        named::<webhook::Signature>("Signature"),
        named::<webhook::Respond>("Respond"),
        named::<webhook::Subscribe>("Subscribe"),
        named::<webhook::Unsubscribe>("Unsubscribe"),
        named::<case::Case>("Case"),
        named::<case::CaseResponse>("CaseResponse"),
        named::<case::CaseExpectation>("CaseExpectation"),
        named::<case::ExpectedRequest>("ExpectedRequest"),
    ]
}

/// The types of an environment, the outermost first.
pub(crate) fn of_environment() -> Vec<Named> {
    vec![
        named::<environment::EnvironmentSpec>("Environment"),
        named::<source::Source>("Source"),
        named::<source::GitSource>("Git"),
        named::<source::GitRef>("Ref"),
        named::<source::ClusterSource>("Cluster"),
        named::<environment::SecretRef>("SecretRef"),
        named::<environment::Database>("Database"),
        named::<freeze::FreezeWindow>("FreezeWindow"),
        named::<retention::Retention>("Retention"),
        named::<retention::UsageRetention>("UsageRetention"),
        named::<notification::Notification>("Notification"),
        named::<drift::Drift>("Drift"),
        named::<environment::Conflicts>("Conflicts"),
        named::<rollout::Rollout>("Rollout"),
        named::<rollout::Strategy>("Strategy"),
        named::<rollout::RolloutRule>("RolloutRule"),
        named::<rollout::Step>("Step"),
        named::<rollout::Variant>("Variant"),
        named::<rollout::Match>("Match"),
        named::<rollout::Override>("Override"),
        named::<rollout::Analysis>("Analysis"),
        named::<rollout::LatencyLimit>("LatencyLimit"),
        named::<rollout::PrometheusQuery>("PrometheusQuery"),
        named::<promotion::DependsOn>("DependsOn"),
        named::<promotion::Promotion>("Promotion"),
        named::<promotion::PromotionMinimum>("PromotionMinimum"),
    ]
}

fn named<T: schemars::JsonSchema>(name: &'static str) -> Named {
    Named { name, schema: annotated::<T>() }
}

/// The name of the type that a schema is of. A field's own description, default and bound do not count.
pub(crate) fn name_of(types: &[Named], schema: &Value) -> Option<&'static str> {
    let node = schema.as_object().filter(|node| node.contains_key("properties"))?;
    types
        .iter()
        .find(|named| named.schema.as_object().is_some_and(|other| same(node, other)))
        .map(|named| named.name)
}

fn same(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let of_the_place = |key: &str| matches!(key, "description" | "default");
    let left = one.iter().filter(|(key, _)| !of_the_place(key));
    let right = other.iter().filter(|(key, _)| !of_the_place(key));
    left.eq(right)
}
