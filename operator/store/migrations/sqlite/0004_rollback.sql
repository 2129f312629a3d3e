-- What was rolled back from, and where each content came from at each seeding.

-- Kept out by content, not by version or commit, until other content arrives or somebody asks it back.
CREATE TABLE integration_quarantine (
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  checksum TEXT NOT NULL,                         -- '': its absence, where a deletion was rolled back
  version TEXT,
  reason TEXT NOT NULL,
  seeding TEXT NOT NULL,                          -- the rollback
  since TEXT NOT NULL,
  asked_back_at TEXT,                             -- the next seeding takes it, if git still says so
  lifted_at TEXT,                                 -- no longer kept out
  PRIMARY KEY (environment, integration_id, checksum)
) STRICT;
CREATE INDEX integration_quarantine_open ON integration_quarantine (environment) WHERE lifted_at IS NULL;

-- What asked for the last rollback, and what came of it: the annotation of a resource is obeyed once.
ALTER TABLE environments ADD COLUMN rollback TEXT CHECK (rollback IS NULL OR json_valid(rollback));

-- As the rows had it from this seeding on; null: it is not known, or they went.
ALTER TABLE seeding_changes ADD COLUMN source TEXT;
ALTER TABLE seeding_changes ADD COLUMN path TEXT;
ALTER TABLE seeding_changes ADD COLUMN revision TEXT;
