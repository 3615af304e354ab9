"""`argentbus acl`: Redis users that are confined to what one agent may do."""

import secrets
from collections.abc import Callable
from typing import Any

import click

from argentbus.errors import NoSuchUser
from argentbus.loop import run
from argentbus.options import Command, json_option, print_json, with_config, with_settings
from bus import Bus, ServerRefused, SigningKeyUnusable, UnsupportedServer
from bus.acl import Grants, rules, user_of
from bus.keys import check_name
from bus.messages.signing import MASTER
from bus.servers.address import Address
from presence.text import clean
from storage.config import StorageConfig
from storage.log import PARTITIONS_VALUE, partition_count, partition_of

#: Seconds for which a server that should be there is tried.
_PATIENCE = 5.0

#: The first server that can limit a command to some keys (selectors).
OLDEST = (7, 0)


@click.group()
def acl() -> None:
    """Confine each agent to a Redis user of its own (Redis 7 or Valkey 8, or newer)."""


def _grant_option(flag: str, name: str, text: str) -> Callable[[Command], Command]:
    return click.option(flag, name, multiple=True, metavar="NAME", help=f"{text} Repeatable.")


@acl.command()
@click.argument("agent")
@_grant_option("--role", "roles", "A role it may be found by.")
@_grant_option("--queue", "queues", "A queue it may put into and consume.")
@_grant_option("--topic", "topics", "A topic it may publish on and subscribe to.")
@_grant_option("--lock", "locks", "A lock it may take.")
@_grant_option("--map", "maps", "A map it may read and write.")
@click.option("--keep-password", is_flag=True, help="Leave the password of an existing user.")
@click.option("--dry-run", is_flag=True, help="Print the rules, and change nothing.")
@with_config
@json_option
def grant(
    config: StorageConfig,
    agent: str,
    roles: tuple[str, ...],
    queues: tuple[str, ...],
    topics: tuple[str, ...],
    locks: tuple[str, ...],
    maps: tuple[str, ...],
    keep_password: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the user of AGENT: its own state, inbox and memories, and what is granted here.

    What was granted before and is not named again is taken away. The password is made here, and
    printed this once. Of a Cluster, and behind sentinels, every server that runs is told, replicas
    as well; after one was added or was away, grant again with --keep-password.
    """
    grants = Grants(list(roles), list(queues), list(topics), list(locks), list(maps)).checked()
    run(_grant, config, agent, grants, keep_password, dry_run, as_json)


@acl.command()
@click.argument("agent")
@with_config
@json_option
def show(config: StorageConfig, agent: str, as_json: bool) -> None:
    """Show what the user of AGENT may do, as the server has it."""
    run(_show, config, agent, as_json)


@acl.command()
@click.argument("agent")
@with_config
@json_option
def revoke(config: StorageConfig, agent: str, as_json: bool) -> None:
    """Remove the user of AGENT; its connections are closed at once."""
    run(_revoke, config, agent, as_json)


@acl.command()
@click.argument("agent", required=False)
@with_settings
def secret(config: StorageConfig, agent: str | None) -> None:
    """Print a line for a signing key file: a new master secret, or the secret of AGENT.

    AGENT's follows from the master in the file that ARGENTBUS_SIGNING_KEY_FILE names. Redirect it:
    `(umask 077; argentbus acl secret > signing.key)`.
    """
    if agent is None:
        click.echo(f"{MASTER} {secrets.token_hex(32)}")
        return
    signing = config.signing()
    own = None if signing is None else signing.secret(check_name("agent", agent))
    if own is None:
        raise SigningKeyUnusable(
            f"the secret of {agent} follows from the master secret: name its file in "
            "ARGENTBUS_SIGNING_KEY_FILE (make one with `argentbus acl secret > FILE`)"
        )
    click.echo(f"{agent} {own.hex()}")


async def _grant(
    config: StorageConfig,
    agent: str,
    grants: Grants,
    keep_password: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        if bus.link.server_version < OLDEST:
            raise UnsupportedServer(
                f"Redis {bus.server_version} cannot confine a user to some commands on some keys: "
                "use Redis 7 or Valkey 8, or newer"
            )
        user = user_of(bus.keys, agent)
        if not dry_run or await bus.get_value(PARTITIONS_VALUE) is not None:
            partitions = await partition_count(bus, config.partitions)
        else:
            partitions = config.partitions
        granted = rules(
            bus.keys,
            agent,
            grants,
            partition=partition_of(agent, partitions),
            server=bus.link.server_version,
        )
        password = None if keep_password else secrets.token_urlsafe(24)
        saved = ""
        if not dry_run:
            credentials = [f">{password}"] if password else await _passwords(bus, user)
            # Users are not replicated: without them on the replicas, a failover locks agents out.
            await bus.link.everywhere("ACL", "SETUSER", user, *granted, *credentials, replicas=True)
            saved = await _save(bus)
        address = bus.link.address
    if dry_run:
        password = None
    url = _url(address, f"{user.replace(':', '%3A')}:{password}") if password else None
    if as_json:
        done = {"user": user, "password": password, "url": url, "rules": granted}
        print_json(done | {"applied": not dry_run, "persisted": not (saved or dry_run)})
        return
    if dry_run:
        click.echo("\n".join([f"ACL SETUSER {user}", *(f"  {rule}" for rule in granted)]))
        return
    click.echo(f"user      {user}")
    if password:
        click.echo(f"password  {password}   (printed this once)")
        click.echo(f"URL       {url}")
    if saved:
        click.echo(saved, err=True)


def _url(address: Address, login: str) -> str:
    """The address with a user and a password, as far as it may be shown."""
    scheme, _, rest = str(address).partition("://")
    return f"{scheme}://{login}@{rest}"


async def _show(config: StorageConfig, agent: str, as_json: bool) -> None:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        user = user_of(bus.keys, agent)
        found = await _found(bus, user)
    selectors = [_map(row) for row in found.get("selectors", [])]
    rows = [{k: found.get(k, "") for k in ("commands", "keys", "channels")}, *selectors]
    if as_json:
        print_json({"user": user, "flags": found.get("flags", []), "rules": rows})
        return
    click.echo(f"{user}  {', '.join(found.get('flags', []))}")
    for row in rows:
        words = " ".join(row[k] for k in ("commands", "keys", "channels") if row.get(k))
        click.echo(f"  {clean(words, 4000)}")


async def _revoke(config: StorageConfig, agent: str, as_json: bool) -> None:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        user = user_of(bus.keys, agent)
        removed = sum(await _everywhere(bus, "DELUSER", user))
        saved = await _save(bus) if removed else ""
    if not removed:
        raise _no_user(user)
    if as_json:
        print_json({"user": user, "revoked": True, "persisted": not saved})
    else:
        click.echo(f"The user {user} is removed.")
        if saved:
            click.echo(saved, err=True)


async def _everywhere(bus: Bus, *command: str) -> list[Any]:
    """Have every server that runs do it, replicas as well. It may be done again."""
    return await bus.link.retrying(
        lambda: bus.link.everywhere("ACL", *command, replicas=True), patience=_PATIENCE
    )


async def _found(bus: Bus, user: str) -> dict[str, Any]:
    row = await bus.link.retrying(lambda: bus.link.call("ACL", "GETUSER", user))
    if not row:
        raise _no_user(user)
    return _map(row)


async def _passwords(bus: Bus, user: str) -> list[str]:
    return [f"#{digest}" for digest in (await _found(bus, user)).get("passwords", [])]


async def _save(bus: Bus) -> str:
    """Have the users written to the server's file; return what to say where there is none."""
    try:
        await _everywhere(bus, "SAVE")
    except ServerRefused as error:
        if "not configured to use an ACL file" not in str(error):
            raise
        return (
            "The server has no `aclfile`: this holds until it is started again. Set one in its "
            "configuration, or run `CONFIG REWRITE` there. The Redis that `argentbus up` brings "
            "keeps no users: grant again when it was started, or give `up` a Redis of yours."
        )
    return ""


def _no_user(user: str) -> NoSuchUser:
    agent = user.partition(":")[2]
    return NoSuchUser(f"there is no user {user}: make one with `argentbus acl grant {agent}`")


def _map(row: Any) -> dict[str, Any]:
    """A reply of pairs, in RESP2 or RESP3, as text."""
    pairs = row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple | set | frozenset):
        nested = any(isinstance(part, list | dict) for part in value)
        return list(value) if nested else sorted(map(_text, value))
    return value
