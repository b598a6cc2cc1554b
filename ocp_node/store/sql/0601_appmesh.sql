-- App Mesh: who may log in, what they may do, which tokens are void, and the programs under supervision.

CREATE TABLE appmesh_user(
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
  password TEXT NOT NULL CHECK (length(password) <= 200),
  facts TEXT NOT NULL CHECK (length(facts) <= 65536)
) STRICT;

CREATE TABLE appmesh_role(
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
  permissions TEXT NOT NULL CHECK (length(permissions) <= 65536)
) STRICT;

-- Tokens that were ended before their time, by `jti`; a row goes when its token would have expired anyway.
CREATE TABLE appmesh_revocation(
  id TEXT PRIMARY KEY CHECK (length(id) <= 128),
  expires_at REAL NOT NULL
) STRICT;
CREATE INDEX appmesh_revocation_age ON appmesh_revocation(expires_at);

CREATE TABLE appmesh_app(
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128),
  owner TEXT NOT NULL,
  definition TEXT NOT NULL CHECK (length(definition) <= 16777216),
  sec_env TEXT NOT NULL DEFAULT '' CHECK (length(sec_env) <= 25165824),
  facts TEXT NOT NULL DEFAULT '{}' CHECK (length(facts) <= 65536)
) STRICT;
CREATE INDEX appmesh_app_owner ON appmesh_app(owner);

-- Runs that have been asked for and are not known to have ended: how the next node finds them again.
CREATE TABLE appmesh_run(
  id TEXT PRIMARY KEY CHECK (length(id) <= 64),
  app TEXT NOT NULL CHECK (length(app) BETWEEN 1 AND 128),
  path TEXT NOT NULL CHECK (length(path) <= 4096),
  process_key TEXT NOT NULL,
  started_at REAL NOT NULL,
  record TEXT NOT NULL DEFAULT '' CHECK (length(record) <= 65536)
) STRICT;
CREATE INDEX appmesh_run_app ON appmesh_run(app);
