-- Contents that hand edits were merged into: what of git went in, so that the next merge has its base. Kept by the checksum
-- of the result, so that a release which knows nothing of it leaves nothing wrong.
CREATE TABLE integration_merges (
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  checksum TEXT NOT NULL,                         -- of the result, as integration_definitions and integration_versions have it
  base TEXT NOT NULL,                             -- checksum of the content of git
  manifest TEXT NOT NULL,                         -- that content
  created_at TEXT NOT NULL,
  seeding TEXT NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
) STRICT;
