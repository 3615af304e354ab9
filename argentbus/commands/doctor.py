"""`argentbus doctor`: looks at everything that has to be right, and says what is not."""

import click

from argentbus.checkup import Finding, checkup
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig

MARKS = {"fine": ("ok  ", "green"), "note": ("note", "yellow"), "fault": ("BAD ", "red")}


@click.command()
@with_database_config
@json_option
def doctor(config: StorageConfig, as_json: bool) -> int:
    """Check the settings, Redis, its persistence, the data directory, the ports, the sidecars.

    Exit status 1 when something is at fault; notes are no fault.
    """
    findings: list[Finding] = run(checkup, config)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark, colour = MARKS[finding.verdict]
            click.echo(f"{click.style(mark, fg=colour)}  {finding.subject:10}  {finding.detail}")
    return 1 if any(finding.verdict == "fault" for finding in findings) else 0
