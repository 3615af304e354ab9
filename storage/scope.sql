-- Who sees what. $1 is the reading agent, empty for operators: so in every reading statement that
-- has one of these in it. `this` stands for the table.

-- name: own
-- What is its agent's alone.
($1 = '' OR this.agent_id = $1)

-- name: shared
-- One's own, what is for the family or everybody, and what is for the team of one with whom the
-- agent shares a team. That none of these is private, SQLite has to be told: an index has no others.
($1 = '' OR this.agent_id = $1
  OR this.visibility IN ('family', 'public') AND this.visibility <> 'private'
  OR this.visibility = 'team' AND this.visibility <> 'private' AND this.agent_id IN (
    SELECT mate.agent_id FROM team_members AS mine
    JOIN teams ON teams.id = mine.team_id
    JOIN team_members AS mate ON mate.team_id = mine.team_id
    WHERE mine.agent_id = $1 AND teams.status <> 'disbanded'))

-- name: visible_tasks
-- Those that the agent made, those assigned to it, those of its teams, and those of nobody.
($1 = '' OR tasks.agent_id = $1 OR tasks.assignee = $1 OR tasks.agent_id IS NULL
  OR tasks.team_id IN (
    SELECT mine.team_id FROM team_members AS mine JOIN teams ON teams.id = mine.team_id
    WHERE mine.agent_id = $1 AND teams.status <> 'disbanded'))

-- name: changeable_tasks
-- Those that the agent $2, empty for operators, may change: the same that it sees.
($2 = '' OR tasks.agent_id = $2 OR tasks.assignee = $2 OR tasks.agent_id IS NULL
  OR tasks.team_id IN (
    SELECT mine.team_id FROM team_members AS mine JOIN teams ON teams.id = mine.team_id
    WHERE mine.agent_id = $2 AND teams.status <> 'disbanded'))

-- name: visible_changes
-- What the agent changed itself, and what others changed of tasks that it sees.
($1 = '' OR task_history.agent_id = $1 OR EXISTS (
  SELECT 1 FROM tasks WHERE tasks.id = task_history.task_id
    AND (tasks.agent_id = $1 OR tasks.assignee = $1 OR tasks.agent_id IS NULL
      OR tasks.team_id IN (
        SELECT mine.team_id FROM team_members AS mine JOIN teams ON teams.id = mine.team_id
        WHERE mine.agent_id = $1 AND teams.status <> 'disbanded'))))

-- name: of_my_teams
-- What belongs to a team of which the agent is a member, be it disbanded.
($1 = '' OR this.team_id IN (
  SELECT mine.team_id FROM team_members AS mine WHERE mine.agent_id = $1))

-- name: visible_teams
-- Those of which the agent is a member, be they disbanded.
($1 = '' OR teams.id IN (
  SELECT mine.team_id FROM team_members AS mine WHERE mine.agent_id = $1))

-- name: readable
-- What is in a collection that the agent may read.
($1 = '' OR this.collection_id IN (
  SELECT mine.collection_id FROM knowledge_collection_grants AS mine
  WHERE mine.agent_id = $1 AND (mine.can_read OR mine.is_owner)
  UNION SELECT made.id FROM knowledge_collections AS made WHERE made.owner_agent_id = $1))

-- name: visible_collections
-- Those that the agent may read.
($1 = '' OR knowledge_collections.owner_agent_id = $1 OR knowledge_collections.id IN (
  SELECT mine.collection_id FROM knowledge_collection_grants AS mine
  WHERE mine.agent_id = $1 AND (mine.can_read OR mine.is_owner)))

-- name: visible_grants
-- The agent's own, and those of collections that it owns.
($1 = '' OR knowledge_collection_grants.agent_id = $1
  OR knowledge_collection_grants.collection_id IN (
    SELECT mine.collection_id FROM knowledge_collection_grants AS mine
    WHERE mine.agent_id = $1 AND mine.is_owner
    UNION SELECT made.id FROM knowledge_collections AS made WHERE made.owner_agent_id = $1))

-- name: everybody
-- What every agent may see.
($1 = '' OR 1 = 1)
