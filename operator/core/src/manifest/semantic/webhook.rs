//! Webhooks.

use super::{Context, Owner, named, trigger};
use crate::expression::Place;
use crate::manifest::report::{Path, head};
use crate::manifest::tree::Node;

pub(super) fn check(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let list = path.key("webhooks");
    for (i, webhook) in context.spec.list_at("webhooks").iter().enumerate().filter(|(_, w)| w.is_map()) {
        one(context, webhook, &named("webhook", webhook, i), &list.index(i));
    }
}

fn one(context: &mut Context<'_, '_>, webhook: &Node, name: &str, path: &Path<'_>) {
    let owner = Owner { name: name.to_owned(), ..Owner::shared() };
    if let Some(signature) = webhook.get("signature").filter(|s| s.is_map()) {
        context.signature(signature, &path.key("signature"), name, &owner);
    }
    let answers = path.key("respond");
    for (i, answer) in webhook.list_at("respond").iter().enumerate() {
        let path = answers.index(i);
        for key in ["when", "headers", "body"] {
            context.template_at(answer, key, &path, Place::Webhook, &owner);
        }
    }
    for key in ["items", "eventType", "key", "account"] {
        context.text_at(webhook, key, path, Place::Webhook, &owner);
    }
    let owner = trigger::webhook_owner(context, webhook.text_at("id"), name);
    if let Some(subscribe) = webhook.get("subscribe") {
        let path = path.key("subscribe");
        if let Some(request) = subscribe.get("request") {
            context.requests(request, &path.key("request"), Place::Subscription, &owner);
        }
        context.template_at(subscribe, "save", &path, Place::Subscription, &owner);
    }
    if let Some(request) = webhook.get("unsubscribe").and_then(|u| u.get("request")) {
        let path = path.key("unsubscribe");
        context.requests(request, &path.key("request"), Place::Subscription, &owner);
    }
}

impl Context<'_, '_> {
    fn signature(&mut self, signature: &Node, path: &Path<'_>, name: &str, owner: &Owner) {
        for key in ["value", "timestamp", "over", "key", "check"] {
            self.template_at(signature, key, path, Place::Signature, owner);
        }
        self.text_at(signature, "when", path, Place::SignatureWhen, owner);
        self.text_at(signature, "jwks", path, Place::Signature, owner);
        if let Some(jwks) = signature.get("jwks") {
            self.endpoint(jwks, &path.key("jwks"));
        }
        if let Some(request) = signature.get("request") {
            let owner = Owner { name: format!("the signature of {name}"), ..owner.clone() };
            self.request(request, &path.key("request"), Place::Signature, &owner);
        }
        self.at_least(signature, "tolerance", 1, path);
        let what = format!("the signature of {name}");
        let has = |key: &str| signature.get(key).is_some();
        let Some(algorithm) = signature.text_at("algorithm") else {
            if !has("request") && !has("check") {
                self.missing("algorithm", head(signature), path, &what);
            }
            return;
        };
        let (signs, keys): (bool, &[&str]) = match algorithm {
            "hmac-sha1" | "hmac-sha256" | "hmac-sha512" | "ed25519" | "ecdsa-sha256" | "rsa-sha256" => {
                (true, &["key"])
            }
            "token" => (false, &["key"]),
            "jwt-hs256" | "jwt-rs256" => (false, &["key", "jwks"]),
            _ => return,
        };
        if signs && !has("over") {
            self.missing("over", head(signature), path, &what);
        }
        if !keys.iter().any(|k| has(k)) {
            self.missing("key", head(signature), path, &what);
        }
        if !has("header") && !has("value") {
            self.missing("header", head(signature), path, &what);
        }
    }
}
