-- Keys of services and credentials: encrypted before they come here. Every use leaves a row.

CREATE TABLE service_keys (
  id text COLLATE "C" PRIMARY KEY,
  variable text COLLATE "C" NOT NULL UNIQUE,
  name text NOT NULL,
  encrypted_value text NOT NULL,
  service text,
  category text,
  enabled boolean NOT NULL DEFAULT true,
  source text NOT NULL DEFAULT 'manual' CHECK (source IN ('manual', 'org-sync', 'env')),
  allowed_roles jsonb NOT NULL DEFAULT '[]',
  allowed_agents jsonb NOT NULL DEFAULT '[]',
  allowed_teams jsonb NOT NULL DEFAULT '[]',
  deny_all boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
-- To an agent a key is there only if it may use it. Three empty lists stand for every agent.
SELECT argentbus_guard('service_keys',
  'enabled AND NOT deny_all AND (
     (allowed_agents = ''[]'' AND allowed_roles = ''[]'' AND allowed_teams = ''[]''
       AND (SELECT argentbus_agent()) IS NOT NULL)
     OR allowed_agents ? (SELECT argentbus_agent())
     OR allowed_roles ? (SELECT role FROM agents WHERE agents.id = (SELECT argentbus_agent()))
     OR allowed_teams ?| (SELECT coalesce(array_agg(teams.id), ''{}'') FROM teams
       WHERE teams.status <> ''disbanded''))');

CREATE TABLE auth_credentials (
  id text COLLATE "C" PRIMARY KEY,
  profile_id text COLLATE "C" NOT NULL UNIQUE,
  provider text NOT NULL,
  credential_type text NOT NULL CHECK (credential_type IN ('api_key', 'oauth', 'token')),
  encrypted_payload text NOT NULL,
  email text,
  enabled boolean NOT NULL DEFAULT true,
  last_used_at timestamptz,
  cooldown_until timestamptz,
  error_count bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
SELECT argentbus_guard('auth_credentials', '');

CREATE TABLE secret_uses (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('service_key', 'auth_credential')),
  name text COLLATE "C" NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('granted', 'refused', 'stored', 'enabled', 'disabled', 'rotated')),
  reason text,
  at timestamptz NOT NULL
);
CREATE INDEX secret_uses_name ON secret_uses (name, at);
SELECT argentbus_guard('secret_uses', 'own');
