//! What a manifest may lack, and what it has for nothing.

use super::Rule;

pub(super) const NO_DESCRIPTION: Rule = Rule {
    summary: "No description",
    meaning: "Users choose integrations by what they read.",
    remedy: "Add `description`: what the app is, in a sentence.",
    wrong: "name: Acme Tasks\ndescription: \"\"\n",
    right: "name: Acme Tasks\ndescription: Tasks and projects.\n",
};

pub(super) const NO_AUTHOR: Rule = Rule {
    summary: "No author",
    meaning: "Whoever finds a fault needs to know whom to ask.",
    remedy: "Add `author`: a person or an organization.",
    wrong: "name: Acme Tasks\nauthor: \"\"\n",
    right: "name: Acme Tasks\nauthor: Acme Inc.\n",
};

pub(super) const NO_LICENSE: Rule = Rule {
    summary: "No license",
    meaning: "Without one nobody may copy or change the manifest.",
    remedy: "Add `license`, as SPDX writes it.",
    wrong: "name: Acme Tasks\nlicense: \"\"\n",
    right: "name: Acme Tasks\nlicense: Apache-2.0\n",
};

pub(super) const NO_CATEGORY: Rule = Rule {
    summary: "No category",
    meaning: "Catalogs are browsed by category.",
    remedy: "Add `category`: a list of one or two words.",
    wrong: "name: Acme Tasks\ncategory: []\n",
    right: "name: Acme Tasks\ncategory: [productivity]\n",
};

pub(super) const NO_VERSION: Rule = Rule {
    summary: "The older plain form without a version: 0.0.0 is taken",
    meaning: "Without versions every change of the manifest is a conflict with what is there.",
    remedy: "Add `version: 1.0.0`, and raise it with each change.",
    wrong: "type: acme\nname: Acme Tasks\n",
    right: "type: acme\nname: Acme Tasks\nversion: 1.0.0\n",
};

pub(super) const UNTYPED_INPUT: Rule = Rule {
    summary: "Inputs are read, and no inputSchema says which there are",
    meaning: "No form can be made, and a misspelt input is not found.",
    remedy: "Add an `inputSchema` with the properties that are read.",
    wrong: "baseUrl: https://api.acme.example\nactions:\n- { id: show, name: Show, request: { method: GET, path: \"/tasks/{task}\" } }\n",
    right: "baseUrl: https://api.acme.example\nactions:\n- id: show\n  name: Show\n  inputSchema: { type: object, properties: { task: { type: string } } }\n  request: { method: GET, path: \"/tasks/{task}\" }\n",
};

pub(super) const NO_OUTPUT_SCHEMA: Rule = Rule {
    summary: "An action or trigger without an outputSchema",
    meaning: "What follows it in a scenario cannot know what it gets. A trigger whose event has a schema needs none.",
    remedy: "Add an `outputSchema`, in place or as a `$ref` to a file.",
    wrong: "baseUrl: https://api.acme.example\nactions:\n- { id: list, name: List, request: { method: GET, path: /tasks } }\n",
    right: "baseUrl: https://api.acme.example\nactions:\n- { id: list, name: List, request: { method: GET, path: /tasks }, outputSchema: { type: array } }\n",
};

pub(super) const NO_TEST: Rule = Rule {
    summary: "No testSuite",
    meaning: "A test suite holds the manifest against recorded answers of the service.",
    remedy: "Add a `testSuite` with a case for each action.",
    wrong: "baseUrl: https://api.acme.example\nactions:\n- { id: list, name: List, request: { method: GET, path: /tasks } }\ntestSuite: []\n",
    right: "baseUrl: https://api.acme.example\nactions:\n- { id: list, name: List, request: { method: GET, path: /tasks } }\ntestSuite:\n- { name: lists, action: list, response: { body: [] }, expect: { output: [] } }\n",
};

pub(super) const UNDECLARED_EVENT: Rule = Rule {
    summary: "A trigger's event that `events` does not declare",
    meaning: "Declared events have a description and a schema, and are found in the catalog.",
    remedy: "Add it to `events`.",
    wrong: "triggers:\n- { id: task.done, name: Task done, type: webhook, webhook: push, event: task.done }\nwebhooks: [{ id: push }]\n",
    right: "triggers:\n- { id: task.done, name: Task done, type: webhook, webhook: push, event: task.done }\nwebhooks: [{ id: push }]\nevents: [{ eventType: task.done, description: A task was done. }]\n",
};

pub(super) const UNUSED_EVENT: Rule = Rule {
    summary: "An event that no trigger names",
    meaning: "It is in the catalog, and no scenario can start from it.",
    remedy: "Name it in a trigger, or remove it.",
    wrong: "triggers:\n- { id: task.done, name: Task done, type: webhook, webhook: push }\nwebhooks: [{ id: push }]\nevents: [{ eventType: task.done }]\n",
    right: "triggers:\n- { id: task.done, name: Task done, type: webhook, webhook: push, event: task.done }\nwebhooks: [{ id: push }]\nevents: [{ eventType: task.done }]\n",
};

pub(super) const UNUSED_SCHEMA: Rule = Rule {
    summary: "A schema that nothing refers to",
    meaning: "It is stored for nothing; most often the `$ref` to it is missing or misspelt.",
    remedy: "Refer to it by `$ref: \"#/schemas/NAME\"`, or remove it.",
    wrong: "schemas: { Task: { type: object } }\n",
    right: "schemas: { Task: { type: object } }\nevents: [{ eventType: task.done, schema: { $ref: \"#/schemas/Task\" } }]\n",
};

pub(super) const DEPRECATED_DRAFT: Rule = Rule {
    summary: "A JSON Schema draft older than draft-07",
    meaning: "It is read as draft-07; keywords that changed since may mean something else.",
    remedy: "Write `$schema: https://json-schema.org/draft/2020-12/schema`, or leave it out.",
    wrong: "schemas: { Task: { $schema: \"http://json-schema.org/draft-04/schema#\", type: object } }\n",
    right: "schemas: { Task: { $schema: \"https://json-schema.org/draft/2020-12/schema\", type: object } }\n",
};
