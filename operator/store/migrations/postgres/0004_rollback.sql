-- What was rolled back from, and where each content came from at each seeding.

-- Kept out by content, not by version or commit, until other content arrives or somebody asks it back.
CREATE TABLE integration_quarantine (
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  checksum text COLLATE "C" NOT NULL,             -- '': its absence, where a deletion was rolled back
  version text,
  reason text NOT NULL,
  seeding text COLLATE "C" NOT NULL,              -- the rollback
  since timestamptz NOT NULL,
  asked_back_at timestamptz,                      -- the next seeding takes it, if git still says so
  lifted_at timestamptz,                          -- no longer kept out
  PRIMARY KEY (environment, integration_id, checksum)
);
CREATE INDEX integration_quarantine_open ON integration_quarantine (environment) WHERE lifted_at IS NULL;

-- What asked for the last rollback, and what came of it: the annotation of a resource is obeyed once.
ALTER TABLE environments ADD COLUMN rollback json;

-- As the rows had it from this seeding on; null: it is not known, or they went.
ALTER TABLE seeding_changes ADD COLUMN source text;
ALTER TABLE seeding_changes ADD COLUMN path text;
ALTER TABLE seeding_changes ADD COLUMN revision text;

CREATE VIEW sower.integration_quarantine AS
  SELECT integration_id, checksum, version, reason, since, asked_back_at
  FROM public.integration_quarantine
  WHERE environment = current_setting('sower.environment') AND lifted_at IS NULL;
