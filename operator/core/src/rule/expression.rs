//! Expressions.

use super::Rule;

pub(super) const BAD_EXPRESSION: Rule = Rule {
    summary: "Not a CEL expression",
    meaning: "What stands in `${ }` is read as CEL. A literal `${` is written `$${`.",
    remedy: "Look at the marked place: an operator without its second half, a quote or bracket that is not closed.",
    wrong: "baseUrl: \"https://${credentials.}.acme.example\"\n",
    right: "credentialSchema: { shop: { label: Shop } }\nbaseUrl: \"https://${credentials.shop}.acme.example\"\n",
};

pub(super) const UNKNOWN_FUNCTION: Rule = Rule {
    summary: "A function that the language does not have",
    meaning: "Expressions have CEL's functions, its extensions for strings, lists, math, encoders and optionals, and `hmac hash \
              hex base64url crc32 jwt json json.parse time formatTime file`. There is no way to define others.",
    remedy: "Take the name that the hint proposes.",
    wrong: "errors: [{ when: \"${upper(response.body.code) == 'QUOTA'}\", kind: rateLimited }]\n",
    right: "errors: [{ when: \"${response.body.code.upperAscii() == 'QUOTA'}\", kind: rateLimited }]\n",
};

pub(super) const UNKNOWN_NAME: Rule = Rule {
    summary: "A name that this place does not have",
    meaning: "Each place has its own names: a request knows `input`, an output `response` too, a webhook `event`. `credentials`, \
              `connection`, `now` and `uuid` are known everywhere.",
    remedy: "Take one of the names that the hint lists.",
    wrong: "errors: [{ when: \"${reponse.status == 429}\", kind: rateLimited }]\n",
    right: "errors: [{ when: \"${response.status == 429}\", kind: rateLimited }]\n",
};

pub(super) const UNKNOWN_INPUT: Rule = Rule {
    summary: "An input that the inputSchema does not have",
    meaning: "It would always be absent, and the parameter left out without a word. `{x}` in a path is `input.x`.",
    remedy: "Mend the name, or add the property to the inputSchema.",
    wrong: "baseUrl: https://api.acme.example\nactions:\n- id: show\n  name: Show\n  inputSchema: { type: object, properties: { task: { type: string } } }\n  request: { method: GET, path: \"/tasks/{taks}\" }\n",
    right: "baseUrl: https://api.acme.example\nactions:\n- id: show\n  name: Show\n  inputSchema: { type: object, properties: { task: { type: string } } }\n  request: { method: GET, path: \"/tasks/{task}\" }\n",
};

pub(super) const UNKNOWN_CREDENTIAL: Rule = Rule {
    summary: "A credential that no credentialSchema has",
    meaning: "Nobody would be asked for it. `clientId`, `clientSecret`, `token`, `callback` and the names in `test.save` are \
              always known.",
    remedy: "Mend the name, or add the field to the credentialSchema.",
    wrong: "credentialSchema: { shop: { label: Shop } }\nbaseUrl: \"https://${credentials.store}.acme.example\"\n",
    right: "credentialSchema: { shop: { label: Shop } }\nbaseUrl: \"https://${credentials.shop}.acme.example\"\n",
};
