//! What the statuses of the resources share.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Conditions as Kubernetes writes them (`metav1.Condition`), one a type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": { "type": "string", "format": "date-time", "maxLength": 64, "description": "When `status` changed last." },
                "message": { "type": "string", "maxLength": 32768, "description": "One sentence for people." },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0, "description": "The generation that the condition is about." },
                "reason": { "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", "description": "Why, in one word for programs." },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds." },
                "type": { "type": "string", "maxLength": 316, "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", "description": "What may hold." },
            },
        },
    })
}
