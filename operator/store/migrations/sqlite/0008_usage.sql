-- What consumers say of their executions: one row per environment, integration, version, action or trigger, and bucket of time.
-- Whoever writes adds to the row of the bucket; Sower rolls minutes up into hours, and hours into days: an execution is counted
-- in one row at any time.

CREATE TABLE integration_usage (
  id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(16)))),
  integration_id TEXT NOT NULL,
  action_id TEXT,                                 -- `<integration>/<identifier>`, as action_registry has it
  trigger_id TEXT,                                -- the same of trigger_registry; at most one of the two
  execution_count INTEGER NOT NULL DEFAULT 0 CHECK (execution_count >= 0),
  success_rate REAL GENERATED ALWAYS AS
    (CASE WHEN execution_count > 0 THEN CAST(execution_count - error_count AS REAL) / execution_count END) VIRTUAL,
  avg_execution_time REAL GENERATED ALWAYS AS
    (CASE WHEN latency_count > 0 THEN CAST(latency_ms AS REAL) / latency_count END) VIRTUAL,  -- milliseconds
  last_used TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  environment TEXT NOT NULL,
  version TEXT NOT NULL,
  resolution TEXT NOT NULL DEFAULT 'minute' CHECK (resolution IN ('minute', 'hour', 'day')),
  minute TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:00.000Z', 'now')),  -- when the bucket begins
  error_count INTEGER NOT NULL DEFAULT 0,
  latency_ms INTEGER NOT NULL DEFAULT 0 CHECK (latency_ms >= 0),  -- of all executions whose time is known, together
  latency_count INTEGER NOT NULL DEFAULT 0,       -- how many those are
  -- How many of them took so many milliseconds at most, and more than the class before.
  ms_10 INTEGER NOT NULL DEFAULT 0 CHECK (ms_10 >= 0),
  ms_25 INTEGER NOT NULL DEFAULT 0 CHECK (ms_25 >= 0),
  ms_50 INTEGER NOT NULL DEFAULT 0 CHECK (ms_50 >= 0),
  ms_100 INTEGER NOT NULL DEFAULT 0 CHECK (ms_100 >= 0),
  ms_250 INTEGER NOT NULL DEFAULT 0 CHECK (ms_250 >= 0),
  ms_500 INTEGER NOT NULL DEFAULT 0 CHECK (ms_500 >= 0),
  ms_1000 INTEGER NOT NULL DEFAULT 0 CHECK (ms_1000 >= 0),
  ms_2500 INTEGER NOT NULL DEFAULT 0 CHECK (ms_2500 >= 0),
  ms_5000 INTEGER NOT NULL DEFAULT 0 CHECK (ms_5000 >= 0),
  ms_10000 INTEGER NOT NULL DEFAULT 0 CHECK (ms_10000 >= 0),
  ms_30000 INTEGER NOT NULL DEFAULT 0 CHECK (ms_30000 >= 0),
  ms_above INTEGER NOT NULL DEFAULT 0 CHECK (ms_above >= 0),
  -- More is nonsense: a thousand billion executions in a minute, of a second each.
  CHECK (execution_count <= 1000000000000 * CASE resolution WHEN 'minute' THEN 1 WHEN 'hour' THEN 60 ELSE 1440 END),
  CHECK (latency_ms <= 1000000000000000 * CASE resolution WHEN 'minute' THEN 1 WHEN 'hour' THEN 60 ELSE 1440 END),
  CHECK (action_id IS NULL OR trigger_id IS NULL),
  CHECK (error_count BETWEEN 0 AND execution_count),
  CHECK (latency_count BETWEEN 0 AND execution_count),
  CHECK (ms_10 + ms_25 + ms_50 + ms_100 + ms_250 + ms_500 + ms_1000 + ms_2500 + ms_5000 + ms_10000 + ms_30000 + ms_above
    <= latency_count),
  CHECK (minute IS strftime(CASE resolution WHEN 'minute' THEN '%Y-%m-%dT%H:%M:00.000Z'
    WHEN 'hour' THEN '%Y-%m-%dT%H:00:00.000Z' ELSE '%Y-%m-%dT00:00:00.000Z' END, minute)),
  CHECK (minute >= '2000-01-01T00:00:00.000Z'),
  CHECK (last_used IS strftime('%Y-%m-%dT%H:%M:%fZ', last_used) AND last_used >= '2000-01-01T00:00:00.000Z')
) STRICT;
CREATE UNIQUE INDEX integration_usage_bucket ON integration_usage
  (environment, integration_id, minute, version, coalesce(action_id, ''), coalesce(trigger_id, ''), resolution);
CREATE INDEX integration_usage_age ON integration_usage (environment, resolution, minute);

-- When it is looked at next whether something is to be rolled up (null: when there is something), and how long each kind of
-- bucket was kept at the last look (null: as is the default).
ALTER TABLE environments ADD COLUMN usage_at TEXT;
ALTER TABLE environments ADD COLUMN usage_kept TEXT;
