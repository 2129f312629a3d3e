-- Promotion between environments: what waits to be let in, and what was let in by hand.

-- Contents that an environment's own sources offered and that were not let in yet: the sources themselves show their newest
-- alone.
CREATE TABLE promotion_offers (
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  checksum text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  manifest json COMPRESSION lz4 NOT NULL,
  summary json NOT NULL,                          -- what later steps need to know of it
  source text NOT NULL,
  path text NOT NULL,
  document bigint NOT NULL,
  revision text NOT NULL,
  seq bigint NOT NULL,                            -- the higher was offered later
  offered_at timestamptz NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
);

-- Contents that somebody lets in before they have soaked, until they are.
CREATE TABLE promotion_admissions (
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  checksum text COLLATE "C" NOT NULL,
  admitted_by text NOT NULL,
  admitted_at timestamptz NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
);

CREATE VIEW sower.promotion_offers AS
  SELECT integration_id, version, checksum, source, path, revision, offered_at
  FROM public.promotion_offers WHERE environment = current_setting('sower.environment');
