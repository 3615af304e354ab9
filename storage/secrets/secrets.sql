-- name: find_key
SELECT %s FROM service_keys WHERE variable = $1;

-- name: find_credential
SELECT %s FROM auth_credentials WHERE profile_id = $1;

-- name: create_key
INSERT INTO service_keys (
  id, variable, name, encrypted_value, service, category, enabled, source, allowed_roles,
  allowed_agents, allowed_teams, deny_all, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: create_credential
INSERT INTO auth_credentials (
  id, profile_id, provider, credential_type, encrypted_payload, email, enabled, last_used_at,
  cooldown_until, error_count, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: update_key
-- %s is the list of assignments, from $2 on.
UPDATE service_keys SET %s WHERE variable = $1 RETURNING id;

-- name: update_credential
UPDATE auth_credentials SET %s WHERE profile_id = $1 RETURNING id;

-- name: role_of
SELECT role FROM agents WHERE id = $1;

-- name: teams_of
SELECT DISTINCT mine.team_id FROM team_members AS mine JOIN teams ON teams.id = mine.team_id
WHERE mine.agent_id = $1 AND teams.status <> 'disbanded';

-- name: find_use
SELECT %s FROM secret_uses WHERE id = $1;

-- name: add_use
INSERT INTO secret_uses (id, agent_id, kind, name, outcome, reason, at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: use_of
-- A use of the reading agent's own.
SELECT %s FROM secret_uses WHERE id = $2 AND agent_id = $1;

-- name: read_key
SELECT %s FROM service_keys WHERE variable = $2 AND {everybody};

-- name: read_credential
SELECT %s FROM auth_credentials WHERE profile_id = $2 AND {everybody};

-- name: list_keys
SELECT %s FROM service_keys WHERE {everybody} ORDER BY variable;

-- name: list_credentials
SELECT %s FROM auth_credentials WHERE {everybody} ORDER BY profile_id;

-- name: list_uses
-- The newest first. An empty $2 or $3 stands for any name, any agent.
SELECT %s FROM secret_uses
WHERE {own secret_uses} AND ($2 = '' OR name = $2) AND ($3 = '' OR agent_id = $3)
ORDER BY at DESC, id DESC LIMIT $4 OFFSET $5;

-- name: sealed
-- For operators: everything that is encrypted.
SELECT 'service_key', variable, encrypted_value FROM service_keys
UNION ALL SELECT 'auth_credential', profile_id, encrypted_payload FROM auth_credentials
ORDER BY 1, 2;
