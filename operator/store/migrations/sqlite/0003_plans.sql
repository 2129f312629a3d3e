-- Plans that wait for an approval, each with the content it would write: it stays applicable whatever is pushed since.
CREATE TABLE seeding_plans (
  environment TEXT NOT NULL,
  hash TEXT NOT NULL,
  -- Number of the seeding that it stands on: another one makes it stale.
  base_seq INTEGER NOT NULL,
  -- Digest of the spec that it was made for.
  spec_digest TEXT NOT NULL,
  -- What holds it: a reason of the condition Ready.
  guard TEXT NOT NULL,
  -- As environments.applied has it: what it was made of.
  revision TEXT NOT NULL CHECK (json_valid(revision)),
  status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'applied', 'stale')),
  document TEXT NOT NULL CHECK (json_valid(document)),
  -- Digest of the document and the operations: the same again is not written.
  digest TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  approved_at TEXT,
  approved_by TEXT,
  seeding TEXT,
  PRIMARY KEY (environment, hash)
) STRICT;
CREATE INDEX seeding_plans_waiting ON seeding_plans (environment, base_seq) WHERE status IN ('pending', 'approved');

CREATE TABLE seeding_plan_operations (
  environment TEXT NOT NULL,
  plan TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  to_checksum TEXT,
  operation TEXT NOT NULL CHECK (json_valid(operation)),
  -- Digest of the rows that were there when the plan was made; null: none.
  observed TEXT,
  PRIMARY KEY (environment, plan, integration_id)
) STRICT;
CREATE INDEX seeding_plan_operations_content ON seeding_plan_operations (environment, integration_id, to_checksum);

CREATE TABLE seeding_plan_contents (
  environment TEXT NOT NULL,
  integration_id TEXT NOT NULL,
  checksum TEXT NOT NULL,
  manifest TEXT NOT NULL CHECK (json_valid(manifest)),
  PRIMARY KEY (environment, integration_id, checksum)
) STRICT;
