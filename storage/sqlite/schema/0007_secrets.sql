-- Keys of services and credentials: encrypted before they come here. Every use leaves a row.

CREATE TABLE service_keys (
  id TEXT PRIMARY KEY NOT NULL,
  variable TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  encrypted_value TEXT NOT NULL,
  service TEXT,
  category TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  source TEXT NOT NULL DEFAULT 'manual' CHECK (source IN ('manual', 'org-sync', 'env')),
  allowed_roles TEXT NOT NULL DEFAULT '[]',
  allowed_agents TEXT NOT NULL DEFAULT '[]',
  allowed_teams TEXT NOT NULL DEFAULT '[]',
  deny_all INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE auth_credentials (
  id TEXT PRIMARY KEY NOT NULL,
  profile_id TEXT NOT NULL UNIQUE,
  provider TEXT NOT NULL,
  credential_type TEXT NOT NULL CHECK (credential_type IN ('api_key', 'oauth', 'token')),
  encrypted_payload TEXT NOT NULL,
  email TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  last_used_at TEXT,
  cooldown_until TEXT,
  error_count INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE secret_uses (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('service_key', 'auth_credential')),
  name TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('granted', 'refused', 'stored', 'enabled', 'disabled', 'rotated')),
  reason TEXT,
  at TEXT NOT NULL
);
CREATE INDEX secret_uses_name ON secret_uses (name, at);
