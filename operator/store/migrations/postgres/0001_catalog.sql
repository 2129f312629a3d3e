-- The catalog, its history and its log. Keys are COLLATE "C": byte order, as in Rust and SQLite, and no index depends on the
-- system's collations. JSON columns hold the canonical bytes, so they are json and never jsonb.

CREATE TABLE environments (
  name text COLLATE "C" PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0,                -- the fence: raised by whoever gains the Lease, by nobody else
  holder text,                                    -- who holds the epoch
  keeper text,                                    -- who seeds it: files, or cluster, namespace and name
  seq bigint NOT NULL DEFAULT 0,                  -- number of the last committed seeding
  applied json NOT NULL DEFAULT '{}',             -- {source: {revision, tree}}
  selection_hash text,                            -- filters, flags, mapping: the same, and the same applied, is a no-op
  summary json NOT NULL DEFAULT '{}',             -- what the last seeding found, and why one after it wrote nothing
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE integration_definitions (
  id text COLLATE "C" NOT NULL,
  name text NOT NULL,
  version text COLLATE "C" NOT NULL,
  author text,
  manifest json COMPRESSION lz4 NOT NULL,
  status text NOT NULL DEFAULT 'published' CHECK (status IN ('draft', 'published', 'deprecated', 'removed')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  environment text COLLATE "C" NOT NULL DEFAULT coalesce(current_setting('sower.environment', true), ''),
  source text,
  revision text,
  path text,
  checksum text COLLATE "C",
  row_hash bytea,
  seeding text COLLATE "C",
  removed_at timestamptz CHECK ((removed_at IS NOT NULL) = (status = 'removed')),
  PRIMARY KEY (environment, id),
  -- None of them: a row that is not ours, never touched.
  CHECK (num_nonnulls(source, revision, path, checksum, row_hash, seeding) IN (0, 6))
);
CREATE INDEX integration_definitions_id ON integration_definitions (id);
-- What is counted at every seeding: those that are carried, and whether there are any of somebody else's.
CREATE INDEX integration_definitions_carried ON integration_definitions (environment)
  WHERE seeding IS NOT NULL AND status <> 'removed';
CREATE INDEX integration_definitions_foreign ON integration_definitions (environment) WHERE seeding IS NULL;

CREATE TABLE action_registry (
  id text COLLATE "C" NOT NULL,                   -- <integration>/<identifier>
  integration_id text COLLATE "C" NOT NULL,
  identifier text COLLATE "C" NOT NULL,
  name text NOT NULL,
  category text,
  definition json COMPRESSION lz4 NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  environment text COLLATE "C" NOT NULL DEFAULT coalesce(current_setting('sower.environment', true), ''),
  source text,
  revision text,
  path text,
  checksum text COLLATE "C",                      -- of the definition
  row_hash bytea,
  seeding text COLLATE "C",
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK (num_nonnulls(source, revision, path, checksum, row_hash, seeding) IN (0, 6))
);
CREATE INDEX action_registry_integration ON action_registry (environment, integration_id);
CREATE INDEX action_registry_foreign ON action_registry (environment) WHERE seeding IS NULL;

CREATE TABLE trigger_registry (
  id text COLLATE "C" NOT NULL,                   -- <integration>/<identifier>
  integration_id text COLLATE "C" NOT NULL,
  identifier text COLLATE "C" NOT NULL,
  name text NOT NULL,
  category text,
  definition json COMPRESSION lz4 NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  environment text COLLATE "C" NOT NULL DEFAULT coalesce(current_setting('sower.environment', true), ''),
  source text,
  revision text,
  path text,
  checksum text COLLATE "C",                      -- of the definition
  row_hash bytea,
  seeding text COLLATE "C",
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK (num_nonnulls(source, revision, path, checksum, row_hash, seeding) IN (0, 6))
);
CREATE INDEX trigger_registry_integration ON trigger_registry (environment, integration_id);
CREATE INDEX trigger_registry_foreign ON trigger_registry (environment) WHERE seeding IS NULL;

CREATE TABLE connection_registry (
  id text COLLATE "C" NOT NULL,                   -- <integration>/<identifier>
  integration_id text COLLATE "C" NOT NULL,
  identifier text COLLATE "C" NOT NULL,
  name text NOT NULL,
  category text,
  definition json COMPRESSION lz4 NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  environment text COLLATE "C" NOT NULL DEFAULT coalesce(current_setting('sower.environment', true), ''),
  source text,
  revision text,
  path text,
  checksum text COLLATE "C",                      -- of the definition
  row_hash bytea,
  seeding text COLLATE "C",
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK (num_nonnulls(source, revision, path, checksum, row_hash, seeding) IN (0, 6))
);
CREATE INDEX connection_registry_integration ON connection_registry (environment, integration_id);
CREATE INDEX connection_registry_foreign ON connection_registry (environment) WHERE seeding IS NULL;

CREATE TABLE event_registry (
  id text COLLATE "C" NOT NULL,                   -- <integration>/<identifier>
  integration_id text COLLATE "C" NOT NULL,
  identifier text COLLATE "C" NOT NULL,
  name text NOT NULL,
  category text,
  definition json COMPRESSION lz4 NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  environment text COLLATE "C" NOT NULL DEFAULT coalesce(current_setting('sower.environment', true), ''),
  source text,
  revision text,
  path text,
  checksum text COLLATE "C",                      -- of the definition
  row_hash bytea,
  seeding text COLLATE "C",
  PRIMARY KEY (environment, id),
  -- No cascade: it would take foreign rows along.
  FOREIGN KEY (environment, integration_id) REFERENCES integration_definitions (environment, id),
  CHECK (num_nonnulls(source, revision, path, checksum, row_hash, seeding) IN (0, 6))
);
CREATE INDEX event_registry_integration ON event_registry (environment, integration_id);
CREATE INDEX event_registry_foreign ON event_registry (environment) WHERE seeding IS NULL;

-- Every content ever seeded: the ground of history and of a rollback.
CREATE TABLE integration_versions (
  integration_id text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  manifest json COMPRESSION lz4 NOT NULL,
  created_at timestamptz NOT NULL,
  environment text COLLATE "C" NOT NULL,
  source text NOT NULL,
  revision text NOT NULL,
  path text NOT NULL,
  checksum text COLLATE "C" NOT NULL,
  seeding text COLLATE "C" NOT NULL,
  -- An override may seed two contents of one version.
  PRIMARY KEY (environment, integration_id, version, checksum)
);

-- One row per document found, the invalid ones too: Sower's memory of what it need not read again.
CREATE TABLE integration_manifests (
  id text COLLATE "C" NOT NULL,                               -- <source>/<path>#<document>
  integration_id text COLLATE "C",
  version text,
  manifest json COMPRESSION lz4,
  checksum text COLLATE "C",
  environment text COLLATE "C" NOT NULL,
  status text NOT NULL CHECK (status IN ('discovered', 'validated', 'seeded', 'error')),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  source text NOT NULL,
  path text NOT NULL,
  document bigint NOT NULL,                         -- number of the document in its file, from 0
  revision text NOT NULL,                        -- the one at which this content was first read
  blob text NOT NULL,
  seeding text COLLATE "C",                                   -- the one that carries it
  problems json NOT NULL DEFAULT '[]',
  summary json,                         -- what later steps need to know of a valid one
  bundled json NOT NULL DEFAULT '[]',   -- files whose content is part of it, with their blobs
  PRIMARY KEY (environment, id)
);
CREATE INDEX integration_manifests_integration ON integration_manifests (environment, integration_id);
-- What is told at every seeding: few of many.
CREATE INDEX integration_manifests_invalid ON integration_manifests (environment) WHERE status = 'error';

-- What a document says of others: through it a change finds all that it touches without reading the rest.
CREATE TABLE integration_links (
  environment text COLLATE "C" NOT NULL,
  document text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('dependency', 'file')),
  target text COLLATE "C" NOT NULL,    -- the integration that is needed, or the path of the file whose content is bundled
  PRIMARY KEY (environment, document, kind, target),
  FOREIGN KEY (environment, document) REFERENCES integration_manifests (environment, id) ON DELETE CASCADE
);
CREATE INDEX integration_links_target ON integration_links (environment, kind, target);

CREATE TABLE seeding_logs (
  id text COLLATE "C" PRIMARY KEY,                            -- a UUIDv7
  environment text COLLATE "C" NOT NULL,
  started_at timestamptz NOT NULL,
  completed_at timestamptz,
  status text NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
  integrations_processed bigint NOT NULL DEFAULT 0,
  actions_created bigint NOT NULL DEFAULT 0,
  triggers_created bigint NOT NULL DEFAULT 0,
  connections_created bigint NOT NULL DEFAULT 0,
  errors json NOT NULL DEFAULT '[]',
  metadata json NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  seq bigint,                                       -- number within the environment
  epoch bigint NOT NULL,
  holder text NOT NULL,
  revision json NOT NULL,              -- {source: revision}
  reason text NOT NULL,
  CHECK ((status = 'running') = (completed_at IS NULL)),
  CHECK ((status = 'completed') = (seq IS NOT NULL))
);
CREATE UNIQUE INDEX seeding_logs_running ON seeding_logs (environment) WHERE status = 'running';
CREATE UNIQUE INDEX seeding_logs_seq ON seeding_logs (environment, seq) WHERE seq IS NOT NULL;
CREATE INDEX seeding_logs_started ON seeding_logs (environment, started_at);

-- The state at seeding S: of each integration the last row with seq <= S.
CREATE TABLE seeding_changes (
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  operation text NOT NULL CHECK (operation IN ('create', 'update', 'move', 'remove', 'restore', 'purge')),
  from_version text,
  from_checksum text,
  to_version text,
  to_checksum text,
  PRIMARY KEY (environment, integration_id, seq)
);
CREATE INDEX seeding_changes_seq ON seeding_changes (environment, seq);

CREATE TABLE seeding_conflicts (
  id text COLLATE "C" PRIMARY KEY,
  integration_id text COLLATE "C" NOT NULL,
  conflict_type text NOT NULL CHECK (conflict_type IN ('version', 'dependency', 'duplicate')),
  current_version text,
  new_version text,
  resolution text CHECK (resolution IN ('skip', 'override', 'merge')),
  resolved_at timestamptz,
  created_at timestamptz NOT NULL,
  environment text COLLATE "C" NOT NULL,
  fingerprint text NOT NULL,
  detail json NOT NULL DEFAULT '{}',
  seeding text
);
CREATE UNIQUE INDEX seeding_conflicts_open
  ON seeding_conflicts (environment, integration_id, conflict_type, fingerprint) WHERE resolved_at IS NULL;

-- For programs that know only one environment, in a database of several, bound by their role:
--   GRANT USAGE ON SCHEMA sower TO app; GRANT SELECT ON ALL TABLES IN SCHEMA sower TO app;
--   ALTER ROLE app SET search_path = sower, public; ALTER ROLE app SET sower.environment = 'production';
CREATE SCHEMA sower;
CREATE VIEW sower.integration_definitions AS
  SELECT id, name, version, author, manifest, status, created_at, updated_at
  FROM public.integration_definitions
  WHERE environment = current_setting('sower.environment') AND status <> 'removed';
CREATE VIEW sower.action_registry AS
  SELECT id, integration_id, identifier, name, category, definition, created_at
  FROM public.action_registry WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.trigger_registry AS
  SELECT id, integration_id, identifier, name, category, definition, created_at
  FROM public.trigger_registry WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.connection_registry AS
  SELECT id, integration_id, identifier, name, category, definition, created_at
  FROM public.connection_registry WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.event_registry AS
  SELECT id, integration_id, identifier, name, category, definition, created_at
  FROM public.event_registry WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.integration_versions AS
  SELECT integration_id, version, checksum, manifest, created_at
  FROM public.integration_versions WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.integration_manifests AS
  SELECT id, integration_id, version, manifest, checksum, environment, status, problems, created_at, updated_at
  FROM public.integration_manifests WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.seeding_logs AS
  SELECT id, environment, started_at, completed_at, status, integrations_processed, actions_created, triggers_created,
    connections_created, errors, metadata, created_at
  FROM public.seeding_logs WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.seeding_conflicts AS
  SELECT id, integration_id, conflict_type, current_version, new_version, resolution, resolved_at, created_at
  FROM public.seeding_conflicts WHERE environment = current_setting('sower.environment');
