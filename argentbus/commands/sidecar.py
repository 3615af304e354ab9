"""`argentbus sidecar`: writes what agents put into the write log to the database."""

import click

from argentbus.loop import run
from argentbus.options import with_redis_and_database_config
from argentbus.telemetry import exporting
from storage.config import StorageConfig


@click.command()
@with_redis_and_database_config
def sidecar(config: StorageConfig) -> None:
    """Write memories and tasks from the log in Redis to the database.

    Any number of sidecars may run on one namespace; they share the work, and the others take over
    when one dies. SIGTERM ends it in good order.
    """
    from storage.sidecar.service import run_sidecar

    with exporting("sidecar"):
        run(run_sidecar, config)
