-- The capability catalogue.  Positions are given in commit order and never twice.

CREATE TABLE cap_state(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  position INTEGER NOT NULL DEFAULT 0,
  registrations INTEGER NOT NULL DEFAULT 0,
  revocations INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO cap_state(id) VALUES (1);

CREATE TABLE cap_registration(
  position INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL CHECK (length(node_id) <= 256),
  capability_id TEXT NOT NULL CHECK (length(capability_id) <= 256),
  wire_name TEXT NOT NULL,
  anchor TEXT NOT NULL,
  informal INTEGER NOT NULL,
  sequence_no INTEGER NOT NULL CHECK (sequence_no >= 1),
  passport_id TEXT NOT NULL,
  issuer TEXT NOT NULL,
  delegation_id TEXT NOT NULL,
  content_digest TEXT NOT NULL,
  advertised_us INTEGER NOT NULL,
  stored_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  passport_json TEXT NOT NULL,
  UNIQUE (node_id, capability_id)
) STRICT;
CREATE INDEX cap_registration_capability ON cap_registration(capability_id, position);
CREATE INDEX cap_registration_wire ON cap_registration(wire_name, position);
CREATE INDEX cap_registration_expires ON cap_registration(expires_us);
CREATE INDEX cap_registration_passport ON cap_registration(passport_id);
CREATE INDEX cap_registration_delegation ON cap_registration(delegation_id) WHERE delegation_id <> '';

-- Every passport that was ever registered, so that one which is no longer shown can still be revoked.
CREATE TABLE cap_passport(
  passport_id TEXT NOT NULL CHECK (length(passport_id) <= 256),
  node_id TEXT NOT NULL,
  capability_id TEXT NOT NULL,
  issuer TEXT NOT NULL,
  expires_us INTEGER NOT NULL,
  PRIMARY KEY (passport_id, node_id, capability_id, issuer)
) STRICT, WITHOUT ROWID;
CREATE INDEX cap_passport_expires ON cap_passport(expires_us);

-- Append-only: what was revoked stays revoked.  `issuer` is "" where the subject itself revoked.
CREATE TABLE cap_revocation(
  position INTEGER PRIMARY KEY,
  family TEXT NOT NULL CHECK (family IN ('capability-passport', 'federation-service-endorsement')),
  target TEXT NOT NULL CHECK (length(target) <= 256),
  node_id TEXT NOT NULL,
  capability_id TEXT NOT NULL,
  issuer TEXT NOT NULL,
  stored_us INTEGER NOT NULL,
  artifact_json TEXT NOT NULL,
  UNIQUE (target, node_id, capability_id, issuer, family)
) STRICT;

CREATE TABLE cap_endorsement(
  node_id TEXT NOT NULL,
  capability_id TEXT NOT NULL,
  endorsement_id TEXT NOT NULL,
  federation_id TEXT NOT NULL,
  endorser TEXT NOT NULL,
  expires_us INTEGER NOT NULL,
  stored_us INTEGER NOT NULL,
  artifact_json TEXT NOT NULL,
  PRIMARY KEY (node_id, capability_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_delegation(
  delegation_id TEXT PRIMARY KEY CHECK (length(delegation_id) <= 256),
  proxy_key TEXT NOT NULL,
  issuer TEXT NOT NULL,
  expires_us INTEGER NOT NULL,
  stored_us INTEGER NOT NULL,
  artifact_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_delegation_proxy ON key_delegation(proxy_key);
CREATE INDEX key_delegation_issuer ON key_delegation(issuer);
CREATE INDEX key_delegation_expires ON key_delegation(expires_us);

-- Imported by the operator; accepted by the operator; never followed by itself.
CREATE TABLE node_succession(
  succession_id TEXT PRIMARY KEY CHECK (length(succession_id) <= 256),
  old_node_id TEXT NOT NULL,
  new_node_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('imported', 'accepted')),
  expires_us INTEGER NOT NULL,
  stored_us INTEGER NOT NULL,
  artifact_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX node_succession_old ON node_succession(old_node_id);
