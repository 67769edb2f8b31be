"""The console command `shadow-router`; stdout is data, stderr is talk."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from loguru import logger

from shadow_router import __version__
from shadow_router.commands import flips_command, label_command, pin_commands
from shadow_router.errors import DataDirectoryMissing, ShadowRouterError, StoreAway
from shadow_router.exit_codes import REFUSED, USAGE, exit_code
from shadow_router.files.permissions import UMASK
from shadow_router.systems import refuse_other_systems

#: Discrepancies in a file, with their bodies, and in the JSON, without.
_IN_A_FILE, _IN_A_BUNDLE = 100, 50

app = typer.Typer(
    help="Differential testing of two versions of one model on the same traffic.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Role(StrEnum):
    """One of the two processes."""

    ROUTER = "router"
    COLLECTOR = "collector"


class Switch(StrEnum):
    """What `control` changes."""

    RATE = "rate"
    OFF = "off"
    ON = "on"
    CLOSE = "close"


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    only: Annotated[
        Role | None, typer.Option(help="Run one of the two processes alone.")
    ] = None,
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Forward to live, copy to the shadow, compare and report."""
    # Imported where they are needed: `--help` and `audit` start in no time.
    from shadow_router.settings import load_settings

    settings = load_settings()
    if only is None:
        from shadow_router.processes.processes import rules_of
        from shadow_router.processes.supervisor import supervise

        # Said once here rather than by both children.
        rules_of(settings)
        raise typer.Exit(supervise(settings))
    # Each process imports what it is made of, and the parent neither.
    if only is Role.ROUTER:
        from shadow_router.processes.router_process import run_router

        run_router(settings, lifeline)
    else:
        from shadow_router.processes.collector_process import run_collector

        run_collector(settings, lifeline)


@app.command()
def control(
    switch: Annotated[
        Switch | None, typer.Argument(help="Show where all are when left out.")
    ] = None,
    value: Annotated[
        float | None, typer.Argument(min=0, max=1, help="The share, for `rate`.")
    ] = None,
) -> None:
    """
    Change what is copied, at once and without a restart.

    `rate 0.1`: copy a tenth. `off`: stop calling the shadow. `on`: go on. `close`: end
    the run for good. Works on the data directory, also while the collector hangs.
    """
    from shadow_router.private.controls import state_json
    from shadow_router.run.switches import Switches
    from shadow_router.settings import load_settings

    if (switch is Switch.RATE) != (value is not None):
        raise typer.BadParameter("a share goes with `rate`, and with it alone")
    settings = load_settings()
    if not settings.data_dir.is_dir():
        raise DataDirectoryMissing(
            f"{settings.data_dir} is not there (SHADOW_ROUTER_DATA_DIR)"
        )
    switches = Switches(settings.data_dir, settings.sample_rate)
    who = f"command of user {os.getuid()}"
    if value is not None:
        switches.set_rate(value, who)
    elif switch is Switch.CLOSE:
        switches.close_run(who)
    elif switch is not None:
        switches.kill(switch is Switch.OFF, who)
    typer.echo(json.dumps(state_json(switches.state)))


@app.command()
def report(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write.")
    ] = Path("shadow_report.html"),
    blame: Annotated[
        Path | None, typer.Option(help="What `tox run -e blame` found.")
    ] = None,
) -> None:
    """Write the report as one self-contained HTML file."""
    from shadow_router.findings.findings import BLAME_NAME, gather, setting_of
    from shadow_router.page.page import render_file
    from shadow_router.settings import load_settings

    settings = load_settings()
    path = blame or settings.data_dir / BLAME_NAME
    found = gather(settings.data_dir, setting_of(settings, path), per_page=_IN_A_FILE)
    output.write_text(render_file(found), encoding="utf-8")
    typer.echo(f"wrote {output}", err=True)


@app.command()
def verdict(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything the verdict rests on.")
    ] = False,
) -> None:
    """
    Judge what was compared so far.

    Exit code 0: PASS, 1: FAIL, 2: INCONCLUSIVE, 3: INVALID.
    """
    from shadow_router.findings import bundle
    from shadow_router.findings.findings import BLAME_NAME, gather, setting_of
    from shadow_router.settings import load_settings
    from shadow_router.verdict.verdict import EXIT_CODES

    settings = load_settings()
    setting = setting_of(settings, settings.data_dir / BLAME_NAME)
    found = gather(settings.data_dir, setting, per_page=_IN_A_BUNDLE)
    as_text = bundle.as_text(found)
    typer.echo(json.dumps(bundle.as_json(found)) if as_json else as_text)
    raise typer.Exit(EXIT_CODES[found.summary.verdict.state])


@app.command()
def known(
    fate: Annotated[str, typer.Argument(help="label_flip, contract_break, …")],
    reason: Annotated[str, typer.Option(help="Why it is no surprise.")],
    expires: Annotated[str, typer.Option(help="The last day, as 2026-12-31.")],
    live: Annotated[str, typer.Option(help="Live's labels, as reported.")] = "",
    shadow: Annotated[str, typer.Option(help="The shadow's labels.")] = "",
    detail: Annotated[str, typer.Option(help="The comparison's own reason.")] = "",
) -> None:
    """
    Mark discrepancies as known, until a day is over; changes no verdict.
    """
    from shadow_router.findings.known import note_known
    from shadow_router.settings import load_settings

    fields = {"fate": fate, "live": live, "shadow": shadow, "detail": detail}
    fields |= {"reason": reason, "expires": expires}
    note_known(load_settings().data_dir, fields)


@app.command()
def record(
    output: Annotated[Path, typer.Argument(help="The file to write.")],
    requests: Annotated[
        int, typer.Option(min=1, help="How many of the newest exchanges.")
    ] = 2000,
) -> None:
    """
    Write recorded exchanges to one file, to be replayed.

    They are those that `serve` recorded in SHADOW_ROUTER_RECORD_DIR, redacted.
    """
    from shadow_router.collector.recorder import export
    from shadow_router.errors import SettingsInvalid
    from shadow_router.settings import load_settings

    directory = load_settings().record_dir
    if directory is None:
        raise SettingsInvalid(
            "SHADOW_ROUTER_RECORD_DIR is not set; set it for `serve`, which records"
        )
    written = export(directory, output, requests)
    typer.echo(f"wrote {written} exchanges to {output}", err=True)


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings.")],
    shadow: Annotated[str, typer.Option(help="URL of the shadow.")],
    live: Annotated[
        str, typer.Option(help="URL of live, or `recorded`: its answers of then.")
    ] = "recorded",
    rules: Annotated[Path | None, typer.Option(help="A rule file.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything the verdict rests on.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write the report as one HTML file, too.")
    ] = None,
) -> None:
    """
    Send recorded requests to two versions and judge their answers.

    Exit code 0: PASS, 1: FAIL, 2: INCONCLUSIVE, 3: INVALID.
    """
    from shadow_router.commands.replay import replayed
    from shadow_router.findings import bundle
    from shadow_router.page.page import render_file
    from shadow_router.settings import load_settings
    from shadow_router.verdict.verdict import EXIT_CODES

    found = replayed(load_settings(), files, live, shadow, rules)
    if report is not None:
        report.write_text(render_file(found), encoding="utf-8")
    as_text = bundle.as_text(found)
    typer.echo(json.dumps(bundle.as_json(found)) if as_json else as_text)
    raise typer.Exit(EXIT_CODES[found.summary.verdict.state])


@app.command()
def audit(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
) -> None:
    """Check that the books balance; exit code 1 when they do not."""
    from shadow_router.commands import audit as books
    from shadow_router.settings import load_settings

    settings = load_settings()
    found = books.audit(settings.data_dir, store_url=settings.store_url)
    text = json.dumps(books.as_json(found)) if as_json else books.as_text(found)
    typer.echo(text)
    raise typer.Exit(0 if found.balances else 1)


app.command()(flips_command.flips)
app.command()(label_command.label)
app.command()(pin_commands.promote)
app.command()(pin_commands.rollback)


#: Click's UsageError, which Typer carries along under changing names.
_UsageError: Any = typer.BadParameter.__bases__[0]
#: Codes of errors of ours; the first that fits.
CODES: dict[type[Exception], int] = {
    # EX_TEMPFAIL: whoever started it may try again.
    StoreAway: 75,
    # Trying again without a change will not help.
    ShadowRouterError: REFUSED,
}


def main() -> None:
    """Run the command and end with its code; `exit_codes` has those of errors."""
    refuse_other_systems("shadow-router")
    os.umask(UMASK)
    sys.exit(exit_code("shadow-router", _run, CODES))


def _run() -> int:
    logger.remove()
    # No traceback may quote what a client sent.
    logger.add(
        sys.stderr,
        format="{time:YYYY-MM-DDTHH:mm:ss.SSSZZ} {level} {message}",
        backtrace=False,
        diagnose=False,
    )
    command = typer.main.get_command(app)
    try:
        # Not called as a whole: Typer itself ends with 1 where nobody reads, which
        # would be FAIL, and with 2 on wrong usage, which would be INCONCLUSIVE.
        with command.make_context("shadow-router", sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except _UsageError as error:
        error.show()
        return USAGE
    return 0
