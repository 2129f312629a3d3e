-- Plans that wait for an approval, each with the content it would write: it stays applicable whatever is pushed since.
CREATE TABLE seeding_plans (
  environment text COLLATE "C" NOT NULL,
  hash text COLLATE "C" NOT NULL,
  -- Number of the seeding that it stands on: another one makes it stale.
  base_seq bigint NOT NULL,
  -- Digest of the spec that it was made for.
  spec_digest text NOT NULL,
  -- What holds it: a reason of the condition Ready.
  guard text NOT NULL,
  -- As environments.applied has it: what it was made of.
  revision json NOT NULL,
  status text NOT NULL CHECK (status IN ('pending', 'approved', 'applied', 'stale')),
  document json COMPRESSION lz4 NOT NULL,
  -- Digest of the document and the operations: the same again is not written.
  digest text NOT NULL,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  deleted bigint NOT NULL,
  created_at timestamptz NOT NULL,
  approved_at timestamptz,
  approved_by text,
  seeding text COLLATE "C",
  PRIMARY KEY (environment, hash)
);
CREATE INDEX seeding_plans_waiting ON seeding_plans (environment, base_seq) WHERE status IN ('pending', 'approved');

CREATE TABLE seeding_plan_operations (
  environment text COLLATE "C" NOT NULL,
  plan text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  to_checksum text COLLATE "C",
  operation json COMPRESSION lz4 NOT NULL,
  -- Digest of the rows that were there when the plan was made; null: none.
  observed text,
  PRIMARY KEY (environment, plan, integration_id)
);
CREATE INDEX seeding_plan_operations_content ON seeding_plan_operations (environment, integration_id, to_checksum);

CREATE TABLE seeding_plan_contents (
  environment text COLLATE "C" NOT NULL,
  integration_id text COLLATE "C" NOT NULL,
  checksum text COLLATE "C" NOT NULL,
  manifest json COMPRESSION lz4 NOT NULL,
  PRIMARY KEY (environment, integration_id, checksum)
);
