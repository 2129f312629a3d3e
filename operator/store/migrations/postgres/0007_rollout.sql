-- Staged rollouts, and the rows of live versions that are not the stable one.

CREATE TABLE integration_rollouts (
  id text COLLATE "C" PRIMARY KEY,                -- a UUIDv7
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  from_version text COLLATE "C" NOT NULL,         -- the stable version
  from_checksum text COLLATE "C" NOT NULL,
  to_version text COLLATE "C" NOT NULL,           -- what the sources say
  to_checksum text COLLATE "C" NOT NULL,
  -- The live versions beside the stable one, in order: [{version, checksum, weight, keys, labels}]. The first whose keys hold the
  -- consumer, or whose labels it has, is its version; else its bucket of 10,000 is, counted through the weights; else the stable one.
  variants json NOT NULL,
  salt text NOT NULL,
  step bigint NOT NULL,                           -- from 1; 0: before the first
  weight bigint NOT NULL CHECK (weight BETWEEN 0 AND 10000),  -- hundredths of a percent that have the new version
  state text NOT NULL CHECK (state IN ('Pending', 'Progressing', 'Paused', 'Completing', 'Completed', 'Aborted', 'RolledBack',
    'Superseded')),
  reasons json NOT NULL DEFAULT '[]',             -- what happened, oldest first: [{at, state, step, weight, reason, by}]
  strategy json NOT NULL,                         -- as the environment said when it began
  analysis json,                                  -- what the last look at it said
  progress json NOT NULL,                         -- times of the step, and what was counted before it
  source text NOT NULL,                           -- where the new content comes from
  path text NOT NULL,
  revision text NOT NULL,
  seeding text COLLATE "C" NOT NULL,              -- the one that began it
  started_at timestamptz NOT NULL,
  step_started_at timestamptz NOT NULL,
  due_at timestamptz,                             -- when it is looked at next; null: when somebody says something
  updated_at timestamptz NOT NULL,
  ended_at timestamptz,
  row_hash text,                                  -- of who gets which version, as Sower left it, while it is under way; null: Sower did not write the row
  CHECK ((ended_at IS NOT NULL) = (state IN ('Completed', 'Aborted', 'RolledBack', 'Superseded')))
);
CREATE UNIQUE INDEX integration_rollouts_active ON integration_rollouts (environment, integration_id) WHERE ended_at IS NULL;
CREATE INDEX integration_rollouts_started ON integration_rollouts (environment, integration_id, id);

CREATE TABLE registry_candidates (
  environment text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('action', 'trigger', 'connection', 'event')),
  id text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  identifier text COLLATE "C" NOT NULL,
  name text NOT NULL,
  category text,
  definition json COMPRESSION lz4 NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  source text NOT NULL,
  revision text NOT NULL,
  path text NOT NULL,
  checksum text COLLATE "C" NOT NULL,
  row_hash bytea NOT NULL,
  seeding text COLLATE "C" NOT NULL,
  PRIMARY KEY (environment, integration_id, version, kind, id)
);

-- Another's hand is told of here, too.
CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON integration_rollouts FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON integration_rollouts FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift AFTER INSERT OR UPDATE OR DELETE ON registry_candidates FOR EACH ROW
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();
CREATE TRIGGER sower_drift_truncate AFTER TRUNCATE ON registry_candidates FOR EACH STATEMENT
  WHEN (coalesce(current_setting('sower.seeding', true), '') = '') EXECUTE FUNCTION sower.drift_hint();

-- Every live version, told apart by `version`; `stable` says which one the registries hold.
CREATE VIEW action_registry_live AS
  SELECT r.environment, r.integration_id, d.version, true AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM action_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, false, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'action';
CREATE VIEW trigger_registry_live AS
  SELECT r.environment, r.integration_id, d.version, true AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM trigger_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, false, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'trigger';
CREATE VIEW connection_registry_live AS
  SELECT r.environment, r.integration_id, d.version, true AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM connection_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, false, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'connection';
CREATE VIEW event_registry_live AS
  SELECT r.environment, r.integration_id, d.version, true AS stable, r.id, r.identifier, r.name, r.category, r.definition,
    r.created_at, r.checksum, r.seeding
  FROM event_registry r JOIN integration_definitions d ON d.environment = r.environment AND d.id = r.integration_id
  UNION ALL
  SELECT environment, integration_id, version, false, id, identifier, name, category, definition, created_at, checksum, seeding
  FROM registry_candidates WHERE kind = 'event';

-- What gave the last command to rollouts, and what came of it: the annotation of a resource is obeyed once.
ALTER TABLE environments ADD COLUMN rollout_command json;

CREATE VIEW sower.action_registry_live AS
  SELECT integration_id, version, stable, id, identifier, name, category, definition, created_at
  FROM public.action_registry_live WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.trigger_registry_live AS
  SELECT integration_id, version, stable, id, identifier, name, category, definition, created_at
  FROM public.trigger_registry_live WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.connection_registry_live AS
  SELECT integration_id, version, stable, id, identifier, name, category, definition, created_at
  FROM public.connection_registry_live WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.event_registry_live AS
  SELECT integration_id, version, stable, id, identifier, name, category, definition, created_at
  FROM public.event_registry_live WHERE environment = current_setting('sower.environment');
CREATE VIEW sower.integration_rollouts AS
  SELECT id, integration_id, from_version, to_version, variants, salt, step, weight, state, reasons, started_at, step_started_at,
    ended_at
  FROM public.integration_rollouts WHERE environment = current_setting('sower.environment');

-- The version of an integration that a consumer gets in an environment; null where it is not carried. `labels`: an object of
-- texts. The same answers as `Live::resolve` of core/src/rollout/bucket.rs. A key that is null has no bucket. Replaced where it is
-- there: it outlasts tables that were dropped.
CREATE OR REPLACE FUNCTION public.sower_resolve(environment text, integration text, key text, labels json DEFAULT NULL)
  RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  stable text;
  live pg_catalog.jsonb;
  salt text;
  has pg_catalog.jsonb := labels;
  hash pg_catalog.bytea;
  bucket bigint;
BEGIN
  SELECT r.from_version, r.variants, r.salt INTO stable, live, salt FROM public.integration_rollouts r
    WHERE r.environment = sower_resolve.environment AND r.integration_id = sower_resolve.integration AND r.ended_at IS NULL;
  IF stable IS NULL THEN
    RETURN (SELECT d.version FROM public.integration_definitions d
      WHERE d.environment = sower_resolve.environment AND d.id = sower_resolve.integration AND d.status <> 'removed');
  END IF;
  FOR i IN 0 .. pg_catalog.jsonb_array_length(live) - 1 LOOP
    IF pg_catalog.jsonb_exists(live -> i -> 'keys', key)
      OR (has @> (live -> i -> 'labels') AND live -> i -> 'labels' <> '{}'::pg_catalog.jsonb) THEN
      RETURN live -> i ->> 'version';
    END IF;
  END LOOP;
  -- The first four bytes, big endian.
  hash := pg_catalog.sha256(pg_catalog.convert_to(salt || E'\x1f' || key, 'UTF8'));
  bucket := ((pg_catalog.get_byte(hash, 0)::bigint << 24) + (pg_catalog.get_byte(hash, 1) << 16)
    + (pg_catalog.get_byte(hash, 2) << 8) + pg_catalog.get_byte(hash, 3)) % 10000;
  FOR i IN 0 .. pg_catalog.jsonb_array_length(live) - 1 LOOP
    bucket := bucket - coalesce((live -> i -> 'weight')::bigint, 0);
    IF bucket < 0 THEN
      RETURN live -> i ->> 'version';
    END IF;
  END LOOP;
  RETURN stable;
END
$$;

-- The same for a role that is bound to an environment and may use the schema `sower` alone.
CREATE FUNCTION sower.resolve(integration text, key text, labels json DEFAULT NULL)
  RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN public.sower_resolve(current_setting('sower.environment'), integration, key, labels);
END
$$;
