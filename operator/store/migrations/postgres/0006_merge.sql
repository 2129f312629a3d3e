-- Contents that hand edits were merged into: what of git went in, so that the next merge has its base. Kept by the checksum
-- of the result, so that a release which knows nothing of it leaves nothing wrong.
CREATE TABLE integration_merges (
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  checksum text COLLATE "C" NOT NULL,             -- of the result, as integration_definitions and integration_versions have it
  base text COLLATE "C" NOT NULL,                 -- checksum of the content of git
  manifest json COMPRESSION lz4 NOT NULL,         -- that content
  created_at timestamptz NOT NULL,
  seeding text COLLATE "C" NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
);
