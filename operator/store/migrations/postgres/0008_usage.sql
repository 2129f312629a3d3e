-- What consumers say of their executions: one row per environment, integration, version, action or trigger, and bucket of time.
-- Whoever writes adds to the row of the bucket; Sower rolls minutes up into hours, and hours into days: an execution is counted
-- in one row at any time.

CREATE TABLE integration_usage (
  id text COLLATE "C" PRIMARY KEY DEFAULT gen_random_uuid()::text,
  integration_id text COLLATE "C" NOT NULL,
  action_id text COLLATE "C",                     -- `<integration>/<identifier>`, as action_registry has it
  trigger_id text COLLATE "C",                    -- the same of trigger_registry; at most one of the two
  execution_count bigint NOT NULL DEFAULT 0 CHECK (execution_count >= 0),
  success_rate double precision GENERATED ALWAYS AS
    (CASE WHEN execution_count > 0 THEN (execution_count - error_count)::double precision / execution_count END) STORED,
  avg_execution_time double precision GENERATED ALWAYS AS
    (CASE WHEN latency_count > 0 THEN latency_ms::double precision / latency_count END) STORED,  -- milliseconds
  last_used timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  environment text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  resolution text COLLATE "C" NOT NULL DEFAULT 'minute' CHECK (resolution IN ('minute', 'hour', 'day')),
  minute timestamptz NOT NULL DEFAULT date_trunc('minute', now(), 'UTC'),  -- when the bucket begins
  error_count bigint NOT NULL DEFAULT 0,
  latency_ms bigint NOT NULL DEFAULT 0 CHECK (latency_ms >= 0),  -- of all executions whose time is known, together
  latency_count bigint NOT NULL DEFAULT 0,        -- how many those are
  -- How many of them took so many milliseconds at most, and more than the class before.
  ms_10 bigint NOT NULL DEFAULT 0 CHECK (ms_10 >= 0),
  ms_25 bigint NOT NULL DEFAULT 0 CHECK (ms_25 >= 0),
  ms_50 bigint NOT NULL DEFAULT 0 CHECK (ms_50 >= 0),
  ms_100 bigint NOT NULL DEFAULT 0 CHECK (ms_100 >= 0),
  ms_250 bigint NOT NULL DEFAULT 0 CHECK (ms_250 >= 0),
  ms_500 bigint NOT NULL DEFAULT 0 CHECK (ms_500 >= 0),
  ms_1000 bigint NOT NULL DEFAULT 0 CHECK (ms_1000 >= 0),
  ms_2500 bigint NOT NULL DEFAULT 0 CHECK (ms_2500 >= 0),
  ms_5000 bigint NOT NULL DEFAULT 0 CHECK (ms_5000 >= 0),
  ms_10000 bigint NOT NULL DEFAULT 0 CHECK (ms_10000 >= 0),
  ms_30000 bigint NOT NULL DEFAULT 0 CHECK (ms_30000 >= 0),
  ms_above bigint NOT NULL DEFAULT 0 CHECK (ms_above >= 0),
  -- More is nonsense: a thousand billion executions in a minute, of a second each.
  CHECK (execution_count <= 1000000000000 * CASE resolution WHEN 'minute' THEN 1 WHEN 'hour' THEN 60 ELSE 1440 END),
  CHECK (latency_ms <= 1000000000000000 * CASE resolution WHEN 'minute' THEN 1 WHEN 'hour' THEN 60 ELSE 1440 END),
  CHECK (action_id IS NULL OR trigger_id IS NULL),
  CHECK (error_count BETWEEN 0 AND execution_count),
  CHECK (latency_count BETWEEN 0 AND execution_count),
  CHECK (ms_10 + ms_25 + ms_50 + ms_100 + ms_250 + ms_500 + ms_1000 + ms_2500 + ms_5000 + ms_10000 + ms_30000 + ms_above
    <= latency_count),
  CHECK (minute = date_trunc(resolution, minute, 'UTC')),
  CHECK (minute BETWEEN '2000-01-01T00:00:00Z' AND '9999-12-31T00:00:00Z'),
  CHECK (last_used BETWEEN '2000-01-01T00:00:00Z' AND '9999-12-31T00:00:00Z')
) WITH (fillfactor = 80);                         -- counters grow where they are
CREATE UNIQUE INDEX integration_usage_bucket ON integration_usage
  (environment, integration_id, minute, version, coalesce(action_id, ''), coalesce(trigger_id, ''), resolution);
CREATE INDEX integration_usage_age ON integration_usage (environment, resolution, minute);

-- When it is looked at next whether something is to be rolled up (null: when there is something), and how long each kind of
-- bucket was kept at the last look (null: as is the default).
ALTER TABLE environments
  ADD COLUMN usage_at timestamptz,
  ADD COLUMN usage_kept text;

-- Adds executions of this minute. An action or a trigger is named by its identifier, or neither is; the latency is the mean of
-- these executions in milliseconds, null where it is not known; of a single one it is its time, and counts in its class.
CREATE OR REPLACE FUNCTION public.sower_record_usage(
  environment text, integration text, version text, action text, trigger text,
  executions bigint, errors bigint DEFAULT 0, latency_ms bigint DEFAULT NULL
) RETURNS void LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO public.integration_usage AS u (environment, integration_id, version, action_id, trigger_id, execution_count,
    error_count, latency_ms, latency_count, ms_10, ms_25, ms_50, ms_100, ms_250, ms_500, ms_1000, ms_2500, ms_5000, ms_10000,
    ms_30000, ms_above)
  SELECT $1, $2, $3, $2 || '/' || $4, $2 || '/' || $5, $6, coalesce($7, 0), coalesce($8 * $6, 0),
    CASE WHEN $8 IS NULL THEN 0 ELSE $6 END,
    coalesce((one.ms <= 10)::int, 0),
    coalesce((one.ms > 10 AND one.ms <= 25)::int, 0),
    coalesce((one.ms > 25 AND one.ms <= 50)::int, 0),
    coalesce((one.ms > 50 AND one.ms <= 100)::int, 0),
    coalesce((one.ms > 100 AND one.ms <= 250)::int, 0),
    coalesce((one.ms > 250 AND one.ms <= 500)::int, 0),
    coalesce((one.ms > 500 AND one.ms <= 1000)::int, 0),
    coalesce((one.ms > 1000 AND one.ms <= 2500)::int, 0),
    coalesce((one.ms > 2500 AND one.ms <= 5000)::int, 0),
    coalesce((one.ms > 5000 AND one.ms <= 10000)::int, 0),
    coalesce((one.ms > 10000 AND one.ms <= 30000)::int, 0),
    coalesce((one.ms > 30000)::int, 0)
  FROM (SELECT CASE WHEN $6 = 1 THEN $8 END) AS one(ms)
  ON CONFLICT (environment, integration_id, minute, version, coalesce(action_id, ''), coalesce(trigger_id, ''), resolution)
  DO UPDATE SET execution_count = u.execution_count + excluded.execution_count,
    error_count = u.error_count + excluded.error_count, latency_ms = u.latency_ms + excluded.latency_ms,
    latency_count = u.latency_count + excluded.latency_count, ms_10 = u.ms_10 + excluded.ms_10,
    ms_25 = u.ms_25 + excluded.ms_25, ms_50 = u.ms_50 + excluded.ms_50, ms_100 = u.ms_100 + excluded.ms_100,
    ms_250 = u.ms_250 + excluded.ms_250, ms_500 = u.ms_500 + excluded.ms_500, ms_1000 = u.ms_1000 + excluded.ms_1000,
    ms_2500 = u.ms_2500 + excluded.ms_2500, ms_5000 = u.ms_5000 + excluded.ms_5000,
    ms_10000 = u.ms_10000 + excluded.ms_10000, ms_30000 = u.ms_30000 + excluded.ms_30000,
    ms_above = u.ms_above + excluded.ms_above, last_used = greatest(u.last_used, excluded.last_used)
$$;

CREATE VIEW sower.integration_usage AS
  SELECT id, integration_id, version, action_id, trigger_id, execution_count, error_count, success_rate, avg_execution_time,
    latency_ms, latency_count, resolution, minute, last_used, created_at
  FROM public.integration_usage WHERE environment = current_setting('sower.environment');
