//! Manifests that tests write, and the repository that they are pushed to.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::git_server::GitServer;
use crate::repository::{Repository, WorkTree};

/// The Secret with the git server's credentials.
pub const GIT_SECRET: &str = "catalog-git";

/// A manifest in the plain form, without a problem or a warning: so many actions, a trigger, a connection, an event.
#[must_use]
pub fn manifest(id: &str, version: &str, actions: usize) -> String {
    let mut text = format!(
        r#"id: {id}
name: The {id}
version: {version}
author: Ada Sower
license: Apache-2.0
description: What the {id} offers.
category: [trees]
baseUrl: https://api.{id}.example
credentialSchema: {{ apiKey: {{ label: API key, type: password }} }}
connections:
- {{ id: key, name: API key, type: apiKey, apiKey: {{ in: header, name: Authorization, value: "Bearer ${{credentials.apiKey}}" }} }}
test: {{ request: {{ method: GET, path: /me }} }}
triggers:
- id: leaf.fallen
  name: Leaf fallen
  category: leaves
  type: polling
  inputSchema: {{ type: object }}
  outputSchema: {{ type: object }}
  polling: {{ request: {{ method: GET, path: /leaves }}, items: "${{response.body.leaves}}", key: "${{item.id}}", cursor: "${{item.id}}" }}
events:
- {{ eventType: leaf.fallen, description: A leaf has fallen., schema: {{ type: object }} }}
actions:
"#
    );
    for number in 1..=actions {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"- id: branch-{number}
  name: Branch {number}
  category: branches
  description: Grows branch {number} of the {id}.
  inputSchema: {{ type: object, required: [length], properties: {{ length: {{ type: integer, minimum: {number} }}, note: {{ type: string }} }} }}
  outputSchema: {{ type: object, properties: {{ id: {{ type: string }} }} }}
  request: {{ method: POST, path: /branches/{number} }}
"#
        );
    }
    text
}

/// The file of an integration's manifest.
#[must_use]
pub fn path(id: &str) -> String {
    format!("integrations/{id}/integration.yaml")
}

/// A repository with manifests below `integrations`, and a clone to change it.
#[derive(Debug)]
pub struct Catalog {
    /// On the server.
    pub repository: Repository,
    /// The clone.
    pub tree: WorkTree,
    /// Its URL over http, which asks for credentials.
    pub url: String,
}

impl Catalog {
    /// A new repository of the server; `name` may be used once.
    pub fn create(server: &GitServer, name: &str) -> Result<Self> {
        let repository = server.repository(name)?;
        let tree = repository.work_tree()?;
        Ok(Self { repository, tree, url: server.url(name) })
    }

    /// Writes a manifest with two actions for each id, at version 1.0.0, and pushes; the commit.
    pub fn plant(&self, ids: &[&str]) -> Result<String> {
        for id in ids {
            self.write(id, "1.0.0")?;
        }
        self.push("Plant")
    }

    /// Writes the manifest with two actions, without committing.
    pub fn write(&self, id: &str, version: &str) -> Result<()> {
        self.tree.write(&path(id), manifest(id, version, 2))
    }

    /// Writes each of them at this version, and pushes; the commit.
    pub fn raise(&self, ids: &[&str], version: &str) -> Result<String> {
        for id in ids {
            self.write(id, version)?;
        }
        self.push(&format!("Raise to {version}"))
    }

    /// Removes the integration's folder, without committing.
    pub fn fell(&self, id: &str) -> Result<()> {
        self.tree.remove(&format!("integrations/{id}"))
    }

    /// Commits everything and pushes; the commit.
    pub fn push(&self, message: &str) -> Result<String> {
        self.tree.commit_and_push(message)
    }

    /// It as a source of an Environment, at a branch.
    #[must_use]
    pub fn source(&self, branch: &str) -> Value {
        source(&self.url, branch)
    }

    /// The spec of an Environment that asks for news each second.
    #[must_use]
    pub fn spec(&self) -> Value {
        spec(self.source("main"))
    }
}

/// A git source with the credentials of [`GIT_SECRET`].
#[must_use]
pub fn source(url: &str, branch: &str) -> Value {
    json!({
        "name": "catalog",
        "path": "integrations",
        "git": { "url": url, "ref": { "branch": branch }, "secretRef": { "name": GIT_SECRET } },
    })
}

/// The spec of an Environment with one source, which it asks for news each second.
#[must_use]
pub fn spec(source: Value) -> Value {
    json!({ "sources": [source], "interval": "1s", "retryInterval": "1s" })
}

/// The same spec with other fields.
#[must_use]
pub fn with(mut spec: Value, fields: Value) -> Value {
    if let (Value::Object(spec), Value::Object(fields)) = (&mut spec, fields) {
        spec.extend(fields);
    }
    spec
}
