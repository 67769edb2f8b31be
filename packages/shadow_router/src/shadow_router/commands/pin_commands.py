"""The commands that change a pin; `cli` puts them on the console."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shadow_router.promotion.promotion import Move

Requirements = Annotated[
    Path, typer.Option(help="Folder of live.txt, shadow.txt and previous.txt.")
]
Changelog = Annotated[Path, typer.Option(help="Gets an entry under Unreleased.")]
_REQUIREMENTS, _CHANGELOG = Path("api/requirements"), Path("api/CHANGELOG.md")


def promote(
    requirements: Requirements = _REQUIREMENTS,
    changelog: Changelog = _CHANGELOG,
    index: Annotated[Path, typer.Option(help="Folder of published wheels.")] = Path(
        "packages/index"
    ),
    max_age_minutes: Annotated[
        float, typer.Option(min=0, help="How old the newest comparison may be.")
    ] = 60.0,
) -> None:
    """Make shadow's pin live's, on a fresh PASS for exactly these two."""
    from shadow_router.promotion import promotion
    from shadow_router.settings import load_settings

    settings = load_settings()
    data_dir, url = settings.data_dir, settings.store_url
    places = promotion.Places(requirements, changelog, index, data_dir, url)
    _say(promotion.promote(places, max_age_minutes * 60))


def rollback(
    requirements: Requirements = _REQUIREMENTS, changelog: Changelog = _CHANGELOG
) -> None:
    """Make the pin that was live's before the last promotion live's again."""
    from shadow_router.promotion import promotion
    from shadow_router.settings import load_settings

    data_dir = load_settings().data_dir
    # Rolling back opens no wheel.
    places = promotion.Places(requirements, changelog, Path(), data_dir)
    _say(promotion.roll_back(places))


def _say(move: "Move") -> None:
    for note in move.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"live: {move.after} instead of {move.before.version}")
