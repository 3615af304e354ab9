"""Who may use a service key: decided here, for every database alike.

In PostgreSQL, row-level security says the same of what an agent sees (`0007_secrets.sql`).
"""

from collections.abc import Collection

from storage.model.secrets import AuthCredential, ServiceKey, ServiceKeyInfo


def refusal(
    key: ServiceKey | ServiceKeyInfo | None, agent: str, role: str | None, teams: Collection[str]
) -> str | None:
    """Why `agent` may not use a key, for operators to read; None where it may.

    Args:
        agent: Empty for operators.
        role: What operators have registered of it.
        teams: Ids of its teams that are not disbanded.
    """
    if key is None:
        return "there is no such key"
    if not key.enabled:
        return "it is disabled"
    if not agent:
        return None
    if key.deny_all:
        return "it is for operators only"
    allowed = (
        not (key.allowed_agents or key.allowed_roles or key.allowed_teams)
        or agent in key.allowed_agents
        or role in key.allowed_roles
        or any(team in key.allowed_teams for team in teams)
    )
    return None if allowed else "neither the agent, nor its role, nor a team of it is allowed"


def credential_refusal(credential: AuthCredential | None, agent: str) -> str | None:
    """The same of a credential: these are for operators."""
    if agent:
        return "credentials are for operators only"
    if credential is None:
        return "there is no such credential"
    return None if credential.enabled else "it is disabled"


def put_refusal(
    known: ServiceKey | None, allowed: Collection[str] | None, new: ServiceKey, agent: str
) -> str | None:
    """Why `agent` may not store a key; None where it may. Operators may everything.

    What an agent stores, it says by name whom it is for; so no agent passes off a key of its own as
    that of all, or in the place of another's.

    Args:
        known: What is there under that variable.
        allowed: The agents that are to be allowed from now on; None: those that are.
    """
    if known is None:
        allowed = new.allowed_agents
    elif not known.enabled or known.deny_all or agent not in known.allowed_agents:
        return f"there is one already that {agent} may not change"
    if allowed is not None and agent not in allowed:
        return f"what is not for {agent} by name (allowed_agents), only operators store"
    return None
