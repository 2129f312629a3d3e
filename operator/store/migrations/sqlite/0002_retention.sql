-- What was taken out is kept for a while and can come back as it was; older history is forgotten where that is asked for.

ALTER TABLE integration_definitions
  ADD COLUMN prune TEXT CHECK (prune = 'disabled');   -- what the manifest's annotation sower.dev/prune says
-- What waits to be purged: few of many.
CREATE INDEX integration_definitions_removed ON integration_definitions (environment, removed_at) WHERE status = 'removed';

ALTER TABLE environments ADD COLUMN retained TEXT;    -- the retention that was looked at last; null: the default one
ALTER TABLE environments ADD COLUMN retain_at TEXT;   -- when it has to be looked at again; null: nothing waits
-- No state of a seeding below this number can be made again.
ALTER TABLE environments ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
UPDATE environments SET retain_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  WHERE name IN (SELECT environment FROM integration_definitions WHERE status = 'removed' AND seeding IS NOT NULL);

-- When the registry rows of integrations that were taken out came first: their created_at, where they come back.
CREATE TABLE removed_parts (
  environment TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('action', 'trigger', 'connection', 'event')),
  id TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (environment, kind, id)
) STRICT;
CREATE INDEX removed_parts_integration ON removed_parts (environment, integration_id);

-- What was forgotten, and when.
CREATE TABLE seeding_retention (
  id TEXT PRIMARY KEY,                                -- a UUIDv7
  environment TEXT NOT NULL,
  purged TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(purged)),  -- integrations that had been taken out
  versions INTEGER NOT NULL DEFAULT 0,
  changes INTEGER NOT NULL DEFAULT 0,
  logs INTEGER NOT NULL DEFAULT 0,
  conflicts INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX seeding_retention_environment ON seeding_retention (environment, created_at);
