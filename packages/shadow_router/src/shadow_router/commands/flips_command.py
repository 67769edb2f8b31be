"""The command that prints inputs whose labels differ; `cli` puts it on the console."""

import json

import typer


def flips() -> None:
    """
    Print sampled inputs whose labels differ, a JSON object on each line.

    They are the even sample that the report draws: at most 400, and none that the
    rules withhold.
    """
    from shadow_router.settings import load_settings
    from shadow_router.store import Filter, read_details

    settings = load_settings()
    found = read_details(settings.data_dir, Filter(), 0, 0, settings.store_url)
    for one in found.flips:
        row = {"input": json.loads(one.input), "live": one.live, "shadow": one.shadow}
        typer.echo(json.dumps(row))
