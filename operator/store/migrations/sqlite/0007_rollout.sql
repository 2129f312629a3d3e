-- Staged rollouts, and the rows of live versions that are not the stable one.

CREATE TABLE integration_rollouts (
  id TEXT PRIMARY KEY,                -- a UUIDv7
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  from_version TEXT NOT NULL,         -- the stable version
  from_checksum TEXT NOT NULL,
  to_version TEXT NOT NULL,           -- what the sources say
  to_checksum TEXT NOT NULL,
  -- The live versions beside the stable one, in order: [{version, checksum, weight, keys, labels}]. The first whose keys hold the
  -- consumer, or whose labels it has, is its version; else its bucket of 10,000 is, counted through the weights; else the stable one.
  variants TEXT NOT NULL,
  salt TEXT NOT NULL,
  step INTEGER NOT NULL,                           -- from 1; 0: before the first
  weight INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 10000),  -- hundredths of a percent that have the new version
  state TEXT NOT NULL CHECK (state IN ('Pending', 'Progressing', 'Paused', 'Completing', 'Completed', 'Aborted', 'RolledBack',
    'Superseded')),
  reasons TEXT NOT NULL DEFAULT '[]',             -- what happened, oldest first: [{at, state, step, weight, reason, by}]
  strategy TEXT NOT NULL,                         -- as the environment said when it began
  analysis TEXT,                                  -- what the last look at it said
  progress TEXT NOT NULL,                         -- times of the step, and what was counted before it
  source TEXT NOT NULL,                           -- where the new content comes from
  path TEXT NOT NULL,
  revision TEXT NOT NULL,
  seeding TEXT NOT NULL,              -- the one that began it
  started_at TEXT NOT NULL,
  step_started_at TEXT NOT NULL,
  due_at TEXT,                             -- when it is looked at next; null: when somebody says something
  updated_at TEXT NOT NULL,
  ended_at TEXT,
  row_hash TEXT,                           -- of who gets which version, as Sower left it, while it is under way; null: Sower did not write the row
  CHECK ((ended_at IS NOT NULL) = (state IN ('Completed', 'Aborted', 'RolledBack', 'Superseded')))
) STRICT;
CREATE UNIQUE INDEX integration_rollouts_active ON integration_rollouts (environment, integration_id) WHERE ended_at IS NULL;
CREATE INDEX integration_rollouts_started ON integration_rollouts (environment, integration_id, id);

CREATE TABLE registry_candidates (
  environment TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('action', 'trigger', 'connection', 'event')),
  id TEXT NOT NULL,
  version TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  identifier TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT,
  definition TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  source TEXT NOT NULL,
  revision TEXT NOT NULL,
  path TEXT NOT NULL,
  checksum TEXT NOT NULL,
  row_hash BLOB NOT NULL,
  seeding TEXT NOT NULL,
  PRIMARY KEY (environment, integration_id, version, kind, id)
) STRICT;

-- Every live version, told apart by `version`; `stable` says which one the registries hold.
CREATE VIEW action_registry_live AS
  SELECT r.environment, r.integration_id, d.version, 1 AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM action_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, 0, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'action';
CREATE VIEW trigger_registry_live AS
  SELECT r.environment, r.integration_id, d.version, 1 AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM trigger_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, 0, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'trigger';
CREATE VIEW connection_registry_live AS
  SELECT r.environment, r.integration_id, d.version, 1 AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM connection_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, 0, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'connection';
CREATE VIEW event_registry_live AS
  SELECT r.environment, r.integration_id, d.version, 1 AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM event_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, 0, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'event';

-- What gave the last command to rollouts, and what came of it: the annotation of a resource is obeyed once.
ALTER TABLE environments ADD COLUMN rollout_command TEXT;
