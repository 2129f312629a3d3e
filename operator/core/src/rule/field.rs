//! Fields and what they take.

use super::Rule;

pub(super) const UNKNOWN_FIELD: Rule = Rule {
    summary: "A field that the format does not have",
    meaning: "Most often a misspelt name. Were it passed over, the manifest would mean something else than it says. kubectl \
              refuses it too.",
    remedy: "Take the name that the hint proposes, or remove the field. The manifest reference lists them all.",
    wrong: "baseURL: https://api.acme.example\n",
    right: "baseUrl: https://api.acme.example\n",
};

pub(super) const MISSING_FIELD: Rule = Rule {
    summary: "A field that must be there is not",
    meaning: "`name` and `version` are always needed, `id` where there is no `metadata.name`. Other fields are needed by the \
              type beside them: a connection of type apiKey needs the block `apiKey`.",
    remedy: "Add the field that is named.",
    wrong: "connections:\n- { id: key, name: API key, type: apiKey }\n",
    right: "credentialSchema: { key: { label: API key, type: password } }\nconnections:\n- { id: key, name: API key, type: apiKey, apiKey: { in: header, name: X-Key, value: \"${credentials.key}\" } }\n",
};

pub(super) const WRONG_TYPE: Rule = Rule {
    summary: "A value of another type, or outside what the field takes",
    meaning: "A list where text is expected, a number out of its bounds, a word that is not in a closed list.",
    remedy: "Write what is expected. Text that looks like a number, a date or true needs quotes.",
    wrong: "category: productivity\n",
    right: "category: [productivity]\n",
};

pub(super) const BAD_ID: Rule = Rule {
    summary: "An id that breaks the rules of ids",
    meaning: "The id of an integration is a DNS label: at most 63 lower-case letters, digits and `-`, since it names a resource \
              too. Ids in lists are lower-case letters and digits, joined by `.` or `-`. Other programs keep them, so they \
              never change.",
    remedy: "Take the id that the hint proposes.",
    wrong: "id: Acme_Tasks\n",
    right: "id: acme-tasks\n",
};

pub(super) const BAD_VERSION: Rule = Rule {
    summary: "Not a semantic version",
    meaning: "Versions are MAJOR.MINOR.PATCH of Semantic Versioning 2.0, so that newer and older can be told apart.",
    remedy: "Write all three numbers, without `v`: `2.1.0`.",
    wrong: "version: v2.1\n",
    right: "version: 2.1.0\n",
};

pub(super) const BAD_RANGE: Rule = Rule {
    summary: "Not an npm version range",
    meaning: "A dependency is `id` or `id@range`; the range says which versions of the other integration will do.",
    remedy: "Write one such as `^1.2.0`, `~1.2`, `>=1.0.0 <2.0.0`, `1.x` or `1.0.0 - 1.4.0`.",
    wrong: "dependencies: [\"other@newest\"]\n",
    right: "dependencies: [\"other@^1.2.0\"]\n",
};

pub(super) const BAD_URL: Rule = Rule {
    summary: "Not a URL",
    meaning: "Requests go to it, so it must be whole: a scheme, a host, and perhaps a port and a path. A user name or password \
              has no place in it.",
    remedy: "Write `https://HOST/PATH`. Parts may be expressions, if the whole is in quotes.",
    wrong: "baseUrl: api.acme.example\n",
    right: "baseUrl: https://api.acme.example\n",
};

pub(super) const INSECURE_URL: Rule = Rule {
    summary: "http to a host that is not this machine",
    meaning: "Credentials would travel in clear text. Only localhost, 127.0.0.0/8 and ::1 may be spoken to without encryption.",
    remedy: "Write `https`.",
    wrong: "baseUrl: http://api.acme.example\n",
    right: "baseUrl: https://api.acme.example\n",
};

pub(super) const BAD_DURATION: Rule = Rule {
    summary: "Not a duration, or outside its bounds",
    meaning: "Durations are hours, minutes and seconds: `30s`, `5m`, `1h`, `1h30m`. A service is polled at most every 30s.",
    remedy: "Write the number with its unit.",
    wrong: "rateLimit: [{ requests: 100, per: 1 minute }]\n",
    right: "rateLimit: [{ requests: 100, per: 1m }]\n",
};

pub(super) const BAD_PATTERN: Rule = Rule {
    summary: "Not a regular expression",
    meaning: "Patterns are those of ECMA-262, as JSON Schema has them. In an Environment, patterns of ids are globs.",
    remedy: "Close what is open, and escape what is meant literally. In single quotes YAML leaves backslashes alone.",
    wrong: "credentialSchema: { shop: { label: Shop, pattern: \"^[a-z+$\" } }\n",
    right: "credentialSchema: { shop: { label: Shop, pattern: \"^[a-z]+$\" } }\n",
};

pub(super) const DUPLICATE_ID: Rule = Rule {
    summary: "One id stands twice in a list",
    meaning: "Actions, triggers, connections, webhooks and events are found by their ids, and so are their rows.",
    remedy: "Give one of them another id, or remove it.",
    wrong: "events: [{ eventType: task.done }, { eventType: task.done }]\n",
    right: "events: [{ eventType: task.done }, { eventType: task.reopened }]\n",
};
