//! JSON Schemas and what they refer to.

use super::Rule;

pub(super) const BAD_SCHEMA: Rule = Rule {
    summary: "Not a JSON Schema",
    meaning: "Schemas are those of 2020-12 or draft-07. Forms and checks are made from them.",
    remedy: "Write what the keyword takes; the types are array, boolean, integer, null, number, object and string.",
    wrong: "schemas: { Task: { type: object, properties: { title: { type: text } } } }\n",
    right: "schemas: { Task: { type: object, properties: { title: { type: string } } } }\n",
};

pub(super) const UNRESOLVED_REF: Rule = Rule {
    summary: "A `$ref` or `schemaPath` that leads nowhere",
    meaning: "A `$ref` resolves against the file it stands in, a `schemaPath` against the manifest. `#/schemas/NAME` is one of \
              the manifest's own. Everything is bundled when the manifest is loaded, so it must be there.",
    remedy: "Mend the path or the name, or add the file. A resource in the cluster has no files: use `schemas`.",
    wrong: "schemas: { Task: { type: object } }\nevents: [{ eventType: task.done, schema: { $ref: \"#/schemas/Taks\" } }]\n",
    right: "schemas: { Task: { type: object } }\nevents: [{ eventType: task.done, schema: { $ref: \"#/schemas/Task\" } }]\n",
};

pub(super) const REMOTE_REF: Rule = Rule {
    summary: "A `$ref` to the network",
    meaning: "What a manifest means is pinned by its commit. A schema on the network could change or vanish, and reading it \
              would let a manifest send requests.",
    remedy: "Copy the schema into the repository, and refer to it by its path.",
    wrong: "events: [{ eventType: task.done, schema: { $ref: \"https://acme.example/task.json\" } }]\n",
    right: "schemas: { Task: { type: object } }\nevents: [{ eventType: task.done, schema: { $ref: \"#/schemas/Task\" } }]\n",
};

pub(super) const PATH_ESCAPE: Rule = Rule {
    summary: "A path that leaves the snapshot",
    meaning: "Files are read from the source's own tree and from nowhere else.",
    remedy: "Write a path relative to the file it stands in, without more `..` than there are folders.",
    wrong: "events: [{ eventType: task.done, schemaPath: /etc/task.json }]\n",
    right: "events: [{ eventType: task.done, schema: { type: object } }]\n",
};
