-- Who sees what. $1 is the reading agent, empty for operators: so in every reading statement that
-- has `{visible_items}` or `{visible_tasks}` in it.

-- name: visible_items
-- One's own, what is for the family or everybody, and what is for the team of one with whom the
-- agent shares a team.
($1 = '' OR memory_items.agent_id = $1 OR memory_items.visibility IN ('family', 'public')
  OR memory_items.visibility = 'team' AND memory_items.agent_id IN (
    SELECT mate.agent_id FROM team_members AS mine
    JOIN teams ON teams.id = mine.team_id
    JOIN team_members AS mate ON mate.team_id = mine.team_id
    WHERE mine.agent_id = $1 AND teams.status <> 'disbanded'))

-- name: visible_tasks
-- Those that the agent made, those assigned to it, and those of nobody.
($1 = '' OR tasks.agent_id = $1 OR tasks.assignee = $1 OR tasks.agent_id IS NULL)
