//! Files and documents as such.

use super::Rule;

pub(super) const SYNTAX: Rule = Rule {
    summary: "The file is not YAML or JSON",
    meaning: "From the marked place on the file cannot be read, so nothing can be said of what follows in it. Its documents \
              before that place are read. A file that is named as a manifest and holds no document at all is a warning: it \
              deletes nothing, and environments keep the rows they have of it.",
    remedy: "Look at the marked place and the line before it: a bracket that is not closed, a tab in the indentation, or text \
             with `: `, `#` or `${` in it that stands without quotes. Delete a file that is empty, or write its manifest \
             again.",
    wrong: "category: [productivity\n",
    right: "category: [productivity]\n",
};

pub(super) const ENCODING: Rule = Rule {
    summary: "The file or its name is not UTF-8, or holds what no table can",
    meaning: "Manifests are stored as JSON in UTF-8, beside the path of their file. The character U+0000, half of a surrogate \
              pair, and numbers that are not finite have no place there; a name that is not UTF-8 is shown with `\u{fffd}`.",
    remedy: "Save the file as UTF-8, under a name in UTF-8, and take the character or number out.",
    wrong: "tags: [\"a\\0b\"]\n",
    right: "tags: [\"ab\"]\n",
};

pub(super) const TOO_LARGE: Rule = Rule {
    summary: "The manifest is larger than it may be",
    meaning: "A file has at most 5 MiB, 500,000 values and 1,000 documents, a resource in the cluster at most 256 KiB, \
              what is bundled into it included.",
    remedy: "Split the integration in two, or take large examples and descriptions out.",
    wrong: "# a file of more than 5 MiB\n",
    right: "# a file of at most 5 MiB\n",
};

pub(super) const TOO_DEEP: Rule = Rule {
    summary: "The document is nested deeper than 64 levels",
    meaning: "Deeper nesting is a mistake or an attack: programs that read the stored manifest would run out of stack.",
    remedy: "Give the inner part a name: put it into `schemas` or a file, and refer to it by `$ref`.",
    wrong: "tags: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
    right: "tags: []\n",
};

pub(super) const ALIAS_BOMB: Rule = Rule {
    summary: "Aliases expand to more than a document may hold",
    meaning: "Each `*name` stands for a copy of what `&name` marks. Together the copies may have 50,000 values and 5 MiB of \
              text; a few lines of aliases of aliases could otherwise fill any memory.",
    remedy: "Write the values out, or refer to a schema by `$ref`, which is not copied.",
    wrong: "tags: &a [*a]\n",
    right: "tags: &a [x]\ncategory: *a\n",
};

pub(super) const DUPLICATE_KEY: Rule = Rule {
    summary: "One key stands twice in a map",
    meaning: "YAML and JSON do not say which of the two counts, and programs differ.",
    remedy: "Keep one of them.",
    wrong: "author: Acme\nauthor: Acme Inc.\n",
    right: "author: Acme Inc.\n",
};

pub(super) const UNKNOWN_KIND: Rule = Rule {
    summary: "A document of group sower.dev and a kind or version that Sower does not have",
    meaning: "Documents of other groups are left alone; one of this group is meant for Sower, which cannot tell what it is.",
    remedy: "Write `apiVersion: sower.dev/v1alpha1` and `kind: Integration` or `kind: Environment`.",
    wrong: "apiVersion: sower.dev/v1alpha1\nkind: Integrations\nmetadata: { name: acme }\nspec: { name: Acme, version: 1.0.0 }\n",
    right: "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: { name: acme }\nspec: { name: Acme, version: 1.0.0 }\n",
};

pub(super) const DUPLICATE_MANIFEST: Rule = Rule {
    summary: "Two documents of one source have one id",
    meaning: "Sower does not guess which of the two is meant: both are refused, and the environments keep what they have. Two \
              sources with one id are a conflict of the environment instead, which says who wins.",
    remedy: "Give one of them another id, or delete it.",
    wrong: "# acme/integration.yaml and copy/integration.yaml\nid: acme\n",
    right: "# copy/integration.yaml\nid: acme-copy\n",
};
