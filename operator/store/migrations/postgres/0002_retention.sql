-- What was taken out is kept for a while and can come back as it was; older history is forgotten where that is asked for.

ALTER TABLE integration_definitions
  ADD COLUMN prune text CHECK (prune = 'disabled');   -- what the manifest's annotation sower.dev/prune says
-- What waits to be purged: few of many.
CREATE INDEX integration_definitions_removed ON integration_definitions (environment, removed_at) WHERE status = 'removed';

ALTER TABLE environments
  ADD COLUMN retained text,                           -- the retention that was looked at last; null: the default one
  ADD COLUMN retain_at timestamptz,                   -- when it has to be looked at again; null: nothing waits
  ADD COLUMN forgotten bigint NOT NULL DEFAULT 0;     -- no state of a seeding below this number can be made again
UPDATE environments SET retain_at = now()
  WHERE name IN (SELECT environment FROM integration_definitions WHERE status = 'removed' AND seeding IS NOT NULL);

-- When the registry rows of integrations that were taken out came first: their created_at, where they come back.
CREATE TABLE removed_parts (
  environment text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('action', 'trigger', 'connection', 'event')),
  id text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (environment, kind, id)
);
CREATE INDEX removed_parts_integration ON removed_parts (environment, integration_id);

-- What was forgotten, and when.
CREATE TABLE seeding_retention (
  id text COLLATE "C" PRIMARY KEY,                    -- a UUIDv7
  environment text COLLATE "C" NOT NULL,
  purged json NOT NULL DEFAULT '[]',                  -- integrations that had been taken out
  versions bigint NOT NULL DEFAULT 0,
  changes bigint NOT NULL DEFAULT 0,
  logs bigint NOT NULL DEFAULT 0,
  conflicts bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL
);
CREATE INDEX seeding_retention_environment ON seeding_retention (environment, created_at);

CREATE VIEW sower.seeding_retention AS
  SELECT id, environment, purged, versions, changes, logs, conflicts, created_at
  FROM public.seeding_retention WHERE environment = current_setting('sower.environment');
