-- The catalog, its history and its log. JSON columns hold the canonical bytes as text; times are RFC 3339 in UTC.

CREATE TABLE environments (
  name TEXT PRIMARY KEY,
  epoch INTEGER NOT NULL DEFAULT 0,               -- the fence: raised by whoever gains the Lease, by nobody else
  holder TEXT,                                    -- who holds the epoch
  keeper TEXT,                                    -- who seeds it: files, or cluster, namespace and name
  seq INTEGER NOT NULL DEFAULT 0,                 -- number of the last committed seeding
  applied TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(applied)),  -- {source: {revision, tree}}
  selection_hash TEXT,                            -- filters, flags, mapping: the same, and the same applied, is a no-op
  summary TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(summary)),  -- what the last seeding found, and why one after it wrote nothing
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE integration_definitions (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  author TEXT,
  manifest TEXT NOT NULL CHECK (json_valid(manifest)),
  status TEXT NOT NULL DEFAULT 'published' CHECK (status IN ('draft', 'published', 'deprecated', 'removed')),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  environment TEXT NOT NULL DEFAULT '',
  source TEXT,
  revision TEXT,
  path TEXT,
  checksum TEXT,
  row_hash BLOB,
  seeding TEXT,
  removed_at TEXT CHECK ((removed_at IS NOT NULL) = (status = 'removed')),
  PRIMARY KEY (environment, id),
  -- None of them: a row that is not ours, never touched.
  CHECK ((source IS NOT NULL) + (revision IS NOT NULL) + (path IS NOT NULL) + (checksum IS NOT NULL)
    + (row_hash IS NOT NULL) + (seeding IS NOT NULL) IN (0, 6))
) STRICT;
CREATE INDEX integration_definitions_id ON integration_definitions (id);
-- What is counted at every seeding: those that are carried, and whether there are any of somebody else's.
CREATE INDEX integration_definitions_carried ON integration_definitions (environment)
  WHERE seeding IS NOT NULL AND status <> 'removed';
CREATE INDEX integration_definitions_foreign ON integration_definitions (environment) WHERE seeding IS NULL;

CREATE TABLE action_registry (
  id TEXT NOT NULL,                               -- <integration>/<identifier>
  integration_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT,
  definition TEXT NOT NULL CHECK (json_valid(definition)),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  environment TEXT NOT NULL DEFAULT '',
  source TEXT,
  revision TEXT,
  path TEXT,
  checksum TEXT,                                  -- of the definition
  row_hash BLOB,
  seeding TEXT,
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK ((source IS NOT NULL) + (revision IS NOT NULL) + (path IS NOT NULL) + (checksum IS NOT NULL)
    + (row_hash IS NOT NULL) + (seeding IS NOT NULL) IN (0, 6))
) STRICT;
CREATE INDEX action_registry_integration ON action_registry (environment, integration_id);
CREATE INDEX action_registry_foreign ON action_registry (environment) WHERE seeding IS NULL;

CREATE TABLE trigger_registry (
  id TEXT NOT NULL,                               -- <integration>/<identifier>
  integration_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT,
  definition TEXT NOT NULL CHECK (json_valid(definition)),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  environment TEXT NOT NULL DEFAULT '',
  source TEXT,
  revision TEXT,
  path TEXT,
  checksum TEXT,                                  -- of the definition
  row_hash BLOB,
  seeding TEXT,
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK ((source IS NOT NULL) + (revision IS NOT NULL) + (path IS NOT NULL) + (checksum IS NOT NULL)
    + (row_hash IS NOT NULL) + (seeding IS NOT NULL) IN (0, 6))
) STRICT;
CREATE INDEX trigger_registry_integration ON trigger_registry (environment, integration_id);
CREATE INDEX trigger_registry_foreign ON trigger_registry (environment) WHERE seeding IS NULL;

CREATE TABLE connection_registry (
  id TEXT NOT NULL,                               -- <integration>/<identifier>
  integration_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT,
  definition TEXT NOT NULL CHECK (json_valid(definition)),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  environment TEXT NOT NULL DEFAULT '',
  source TEXT,
  revision TEXT,
  path TEXT,
  checksum TEXT,                                  -- of the definition
  row_hash BLOB,
  seeding TEXT,
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK ((source IS NOT NULL) + (revision IS NOT NULL) + (path IS NOT NULL) + (checksum IS NOT NULL)
    + (row_hash IS NOT NULL) + (seeding IS NOT NULL) IN (0, 6))
) STRICT;
CREATE INDEX connection_registry_integration ON connection_registry (environment, integration_id);
CREATE INDEX connection_registry_foreign ON connection_registry (environment) WHERE seeding IS NULL;

CREATE TABLE event_registry (
  id TEXT NOT NULL,                               -- <integration>/<identifier>
  integration_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT,
  definition TEXT NOT NULL CHECK (json_valid(definition)),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  environment TEXT NOT NULL DEFAULT '',
  source TEXT,
  revision TEXT,
  path TEXT,
  checksum TEXT,                                  -- of the definition
  row_hash BLOB,
  seeding TEXT,
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK ((source IS NOT NULL) + (revision IS NOT NULL) + (path IS NOT NULL) + (checksum IS NOT NULL)
    + (row_hash IS NOT NULL) + (seeding IS NOT NULL) IN (0, 6))
) STRICT;
CREATE INDEX event_registry_integration ON event_registry (environment, integration_id);
CREATE INDEX event_registry_foreign ON event_registry (environment) WHERE seeding IS NULL;

-- Every content ever seeded: the ground of history and of a rollback.
CREATE TABLE integration_versions (
  integration_id TEXT NOT NULL,
  version TEXT NOT NULL,
  manifest TEXT NOT NULL CHECK (json_valid(manifest)),
  created_at TEXT NOT NULL,
  environment TEXT NOT NULL,
  source TEXT NOT NULL,
  revision TEXT NOT NULL,
  path TEXT NOT NULL,
  checksum TEXT NOT NULL,
  seeding TEXT NOT NULL,
  -- An override may seed two contents of one version.
  PRIMARY KEY (environment, integration_id, version, checksum)
) STRICT;

-- One row per document found, the invalid ones too: Sower's memory of what it need not read again.
CREATE TABLE integration_manifests (
  id TEXT NOT NULL,                               -- <source>/<path>#<document>
  integration_id TEXT,
  version TEXT,
  manifest TEXT CHECK (json_valid(manifest)),
  checksum TEXT,
  environment TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('discovered', 'validated', 'seeded', 'error')),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  source TEXT NOT NULL,
  path TEXT NOT NULL,
  document INTEGER NOT NULL,                         -- number of the document in its file, from 0
  revision TEXT NOT NULL,                        -- the one at which this content was first read
  blob TEXT NOT NULL,
  seeding TEXT,                                   -- the one that carries it
  problems TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(problems)),
  summary TEXT CHECK (json_valid(summary)),  -- what later steps need to know of a valid one
  bundled TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(bundled)),  -- files whose content is part of it, with their blobs
  PRIMARY KEY (environment, id)
) STRICT;
CREATE INDEX integration_manifests_integration ON integration_manifests (environment, integration_id);
-- What is told at every seeding: few of many.
CREATE INDEX integration_manifests_invalid ON integration_manifests (environment) WHERE status = 'error';

-- What a document says of others: through it a change finds all that it touches without reading the rest.
CREATE TABLE integration_links (
  environment TEXT NOT NULL,
  document TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('dependency', 'file')),
  target TEXT NOT NULL,    -- the integration that is needed, or the path of the file whose content is bundled
  PRIMARY KEY (environment, document, kind, target),
  FOREIGN KEY (environment, document) REFERENCES integration_manifests (environment, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX integration_links_target ON integration_links (environment, kind, target);

CREATE TABLE seeding_logs (
  id TEXT PRIMARY KEY,                            -- a UUIDv7
  environment TEXT NOT NULL,
  started_at TEXT NOT NULL,
  completed_at TEXT,
  status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
  integrations_processed INTEGER NOT NULL DEFAULT 0,
  actions_created INTEGER NOT NULL DEFAULT 0,
  triggers_created INTEGER NOT NULL DEFAULT 0,
  connections_created INTEGER NOT NULL DEFAULT 0,
  errors TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(errors)),
  metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
  created_at TEXT NOT NULL,
  seq INTEGER,                                       -- number within the environment
  epoch INTEGER NOT NULL,
  holder TEXT NOT NULL,
  revision TEXT NOT NULL CHECK (json_valid(revision)),  -- {source: revision}
  reason TEXT NOT NULL,
  CHECK ((status = 'running') = (completed_at IS NULL)),
  CHECK ((status = 'completed') = (seq IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX seeding_logs_running ON seeding_logs (environment) WHERE status = 'running';
CREATE UNIQUE INDEX seeding_logs_seq ON seeding_logs (environment, seq) WHERE seq IS NOT NULL;
CREATE INDEX seeding_logs_started ON seeding_logs (environment, started_at);

-- The state at seeding S: of each integration the last row with seq <= S.
CREATE TABLE seeding_changes (
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  operation TEXT NOT NULL CHECK (operation IN ('create', 'update', 'move', 'remove', 'restore', 'purge')),
  from_version TEXT,
  from_checksum TEXT,
  to_version TEXT,
  to_checksum TEXT,
  PRIMARY KEY (environment, integration_id, seq)
) STRICT;
CREATE INDEX seeding_changes_seq ON seeding_changes (environment, seq);

CREATE TABLE seeding_conflicts (
  id TEXT PRIMARY KEY,
  integration_id TEXT NOT NULL,
  conflict_type TEXT NOT NULL CHECK (conflict_type IN ('version', 'dependency', 'duplicate')),
  current_version TEXT,
  new_version TEXT,
  resolution TEXT CHECK (resolution IN ('skip', 'override', 'merge')),
  resolved_at TEXT,
  created_at TEXT NOT NULL,
  environment TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  detail TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(detail)),
  seeding TEXT
) STRICT;
CREATE UNIQUE INDEX seeding_conflicts_open
  ON seeding_conflicts (environment, integration_id, conflict_type, fingerprint) WHERE resolved_at IS NULL;
