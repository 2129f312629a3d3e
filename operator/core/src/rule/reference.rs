//! What one part of a manifest asks of another.

use super::Rule;

pub(super) const UNKNOWN_REFERENCE: Rule = Rule {
    summary: "A webhook, action, connection, trigger, base or environment that is not there",
    meaning: "The manifest names a part of itself that it does not have, or an Environment waits for one that its folder does not \
              hold.",
    remedy: "Take one of the names that the hint lists, or add what is missing.",
    wrong: "triggers:\n- { id: task.done, name: Task done, type: webhook, webhook: psuh }\nwebhooks: [{ id: push }]\n",
    right: "triggers:\n- { id: task.done, name: Task done, type: webhook, webhook: push }\nwebhooks: [{ id: push }]\n",
};

pub(super) const PERMISSION_MISSING: Rule = Rule {
    summary: "A host that `permissions` does not cover",
    meaning: "Where any `network:HOST` is given, requests go to those hosts alone, so every host in the manifest must be \
              covered. `*` stands for any text; an expression in a host counts as `*`.",
    remedy: "Add the host to `permissions`, or remove every `network:` to leave the hosts open.",
    wrong: "baseUrl: https://api.acme.example\npermissions: [\"network:acme.example\"]\n",
    right: "baseUrl: https://api.acme.example\npermissions: [\"network:*.acme.example\"]\n",
};

pub(super) const SELF_DEPENDENCY: Rule = Rule {
    summary: "An integration that depends on itself, or is replaced by itself",
    meaning: "A dependency is another integration that must be there first.",
    remedy: "Remove it.",
    wrong: "id: acme\ndependencies: [acme]\n",
    right: "id: acme\n",
};

pub(super) const UNUSED_INPUT: Rule = Rule {
    summary: "An input that goes nowhere",
    meaning: "Inputs that a request does not name join it by themselves: the query, the body or the variables. Here they \
              cannot, since that part is no map or has a key of that name; what a user fills in would be lost without a word.",
    remedy: "Name the input in the request, write `${rest}` where the others go, or remove it from the inputSchema.",
    wrong: "baseUrl: https://api.acme.example\nactions:\n- id: tag\n  name: Tag\n  inputSchema: { type: object, properties: { tag: { type: string } } }\n  request: { method: POST, path: /tags, body: [\"new\"] }\n",
    right: "baseUrl: https://api.acme.example\nactions:\n- id: tag\n  name: Tag\n  inputSchema: { type: object, properties: { tag: { type: string } } }\n  request: { method: POST, path: /tags, body: [\"${input.tag}\"] }\n",
};
