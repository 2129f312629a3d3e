-- Promotion between environments: what waits to be let in, and what was let in by hand.

-- Contents that an environment's own sources offered and that were not let in yet: the sources themselves show their newest
-- alone.
CREATE TABLE promotion_offers (
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  checksum TEXT NOT NULL,
  version TEXT NOT NULL,
  manifest TEXT NOT NULL CHECK (json_valid(manifest)),
  summary TEXT NOT NULL CHECK (json_valid(summary)), -- what later steps need to know of it
  source TEXT NOT NULL,
  path TEXT NOT NULL,
  document INTEGER NOT NULL,
  revision TEXT NOT NULL,
  seq INTEGER NOT NULL,                           -- the higher was offered later
  offered_at TEXT NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
) STRICT;

-- Contents that somebody lets in before they have soaked, until they are.
CREATE TABLE promotion_admissions (
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  checksum TEXT NOT NULL,
  admitted_by TEXT NOT NULL,
  admitted_at TEXT NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
) STRICT;
