-- name: team_to_change
-- %s: the columns, and how the row is locked.
SELECT %s FROM teams WHERE id = $1 %s;

-- name: create_team
INSERT INTO teams (id, name, lead_session_key, status, config, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: update_team
-- %s is the list of assignments, from $2 on.
UPDATE teams SET %s WHERE id = $1 RETURNING id;

-- name: member_to_change
SELECT %s FROM team_members WHERE team_id = $1 AND session_key = $2;

-- name: add_member
INSERT INTO team_members (
  team_id, session_key, agent_id, role, label, status, joined_at, last_active_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: update_member
-- %s is the list of assignments, from $3 on.
UPDATE team_members SET %s WHERE team_id = $1 AND session_key = $2 RETURNING session_key;

-- name: remove_member
DELETE FROM team_members WHERE team_id = $1 AND session_key = $2;

-- name: invite
INSERT INTO team_invitations (
  team_id, session_key, agent_id, role, label, invited_by, invited_at
) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (team_id, session_key) DO UPDATE SET
  agent_id = excluded.agent_id, role = excluded.role, label = excluded.label,
  invited_by = excluded.invited_by, invited_at = excluded.invited_at;

-- name: invitations_to_take
-- Those of agent $2 to team $1; an empty $3 stands for all of them.
SELECT %s FROM team_invitations
WHERE team_id = $1 AND agent_id = $2 AND ($3 = '' OR session_key = $3) ORDER BY session_key;

-- name: is_member
SELECT 1 FROM team_members
WHERE team_id = $1 AND agent_id = $2 AND ($3 = '' OR session_key = $3) LIMIT 1;

-- name: remove_invitation
DELETE FROM team_invitations WHERE team_id = $1 AND session_key = $2;

-- name: get_team
SELECT %s FROM teams WHERE id = $2 AND {visible_teams};

-- name: list_teams
-- The newest first. An empty $2 stands for any status.
SELECT %s FROM teams WHERE {visible_teams} AND ($2 = '' OR status = $2)
ORDER BY created_at DESC, id LIMIT $3 OFFSET $4;

-- name: list_members
SELECT %s FROM team_members WHERE team_id = $2 AND {of_my_teams team_members}
ORDER BY joined_at, session_key;

-- name: list_invitations
-- Those of the agent itself, and to teams of which it is a member. An empty $2 stands for any team.
SELECT %s FROM team_invitations
WHERE ($2 = '' OR team_id = $2)
  AND (team_invitations.agent_id = $1 OR {of_my_teams team_invitations})
ORDER BY invited_at, team_id, session_key;
