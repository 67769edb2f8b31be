"""
A year of production, minute by minute, through the measured capacities.

Traffic with days, weeks and growth; a deploy every other week; a model that is worse, a
release that answers errors, a zone that dies, a burst. Nothing here is measured but the
capacities; it shows what the settings of production/ lead to. Seeded.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, pi, sin

from capacity import (
    API,
    API_REQUESTS_PER_S,
    ROUTER,
    ROUTER_REQUESTS_PER_S,
    TARGET_LOAD,
    VIRTUAL_PROCESSOR,
    bill,
)

from shadow_router.verdict.sequences import share_bounds

SEED = 1936
DAY = 24 * 60
MINUTES = 365 * DAY
MEAN_RATE = 300.0
GROWTH = 1.5

# As in modules/: three checks of 10 s; 2 minutes of 3; a task starts in about a minute.
UNHEALTHY_S, ALARM_MINUTES, START_MINUTES, ROLLBACK_MINUTES = 30, 2, 2, 5
#: A worse model flips 5 % of the labels; the gate's limit is 1 %.
BAD_FLIPS, FLIP_LIMIT, ALPHA = 0.05, 0.01, 0.05
BAD_RELEASE_ERRORS = 0.05
BURST, BURST_MINUTES = 40.0, 30
MAX_TASKS = 40

BAD_MODEL_AT = 80 * DAY + 10 * 60
BAD_RELEASE_AT = 150 * DAY + 14 * 60
DEAD_ZONE_AT = 220 * DAY + 11 * 60
BURST_AT = 300 * DAY + 20 * 60
DEPLOY_EVERY, DEPLOY_AT = 14 * DAY, 10 * 60
#: As in modules/http_service: how many of the tasks stay while others replace them.
HEALTHY_SHARE = 1.0


@dataclass
class Year:
    """What happened: requests, errors by cause, minutes to detect, tasks by day."""

    requests: float = 0.0
    deploys: int = 0
    errors: dict[str, float] = field(default_factory=dict)
    detected: dict[str, str] = field(default_factory=dict)
    task_minutes: int = 0
    peaks: list[float] = field(default_factory=list)
    capacities: list[float] = field(default_factory=list)

    def fail(self, cause: str, requests: float) -> None:
        """Count requests that were not answered, under their cause."""
        if requests > 0:
            self.errors[cause] = self.errors.get(cause, 0.0) + requests


def rates() -> Iterator[float]:
    """Yield the rate of each minute in requests a second."""
    chance = random.Random(SEED)
    for minute in range(MINUTES):
        day = 1 - 0.7 * sin(2 * pi * (minute % DAY) / DAY + pi / 2)
        week = 0.6 if minute // DAY % 7 >= 5 else 1.0
        growth = 1 + (GROWTH - 1) * minute / MINUTES
        rate = MEAN_RATE * day * week * growth * chance.gauss(1, 0.05)
        yield rate * (BURST if BURST_AT <= minute < BURST_AT + BURST_MINUTES else 1)


def per_task() -> float:
    """Return what a router task, the narrower of the two, does at full load."""
    return min(API_REQUESTS_PER_S, ROUTER_REQUESTS_PER_S) * VIRTUAL_PROCESSOR


def wanted(rate: float) -> int:
    """Return the tasks that autoscaling aims at."""
    return min(MAX_TASKS, max(ROUTER.at_least, ceil(rate / (per_task() * TARGET_LOAD))))


def simulate() -> Year:
    """Return the year."""
    year = Year()
    tasks, coming = ROUTER.at_least, [ROUTER.at_least] * (START_MINUTES + 1)
    for minute, rate in enumerate(rates()):
        requests = 60 * rate
        # What was asked for START_MINUTES ago is there now; fewer only after a while.
        coming.append(max(wanted(rate), *coming[-15:]))
        tasks = coming[-1 - START_MINUTES]
        alive = tasks - tasks // 2 if DEAD_ZONE_AT <= minute < dead_until() else tasks
        since_deploy = minute % DEPLOY_EVERY - DEPLOY_AT
        is_replacing = 0 <= since_deploy <= START_MINUTES
        year.deploys += since_deploy == 0
        capacity = alive * per_task() * (HEALTHY_SHARE if is_replacing else 1)
        year.requests += requests
        year.task_minutes += tasks
        usual = "deploys" if is_replacing else "overload"
        cause = "burst" if rate > 3 * MEAN_RATE else usual
        year.fail(cause, 60 * (rate - capacity))
        if minute == DEAD_ZONE_AT:
            # Half of the tasks are called in vain until they are found out.
            year.fail("dead zone", rate * UNHEALTHY_S / 2)
            year.detected["dead zone"] = f"{UNHEALTHY_S} s (target health)"
        if BAD_RELEASE_AT <= minute < BAD_RELEASE_AT + ALARM_MINUTES + ROLLBACK_MINUTES:
            year.fail("bad release", requests * BAD_RELEASE_ERRORS)
            year.detected["bad release"] = f"{ALARM_MINUTES} min (alarm `errors`)"
        if minute == BAD_MODEL_AT:
            year.detected["bad model"] = (
                f"{minutes_to_fail(rate):.1f} min (verdict FAIL)"
            )
        if minute == BURST_AT:
            year.detected["burst"] = "1 min (autoscaling)"
        note_day(year, minute, rate, capacity)
    return year


def dead_until() -> int:
    """Return the minute in which the dead tasks have been made good elsewhere."""
    return DEAD_ZONE_AT + START_MINUTES + 1


def note_day(year: Year, minute: int, rate: float, capacity: float) -> None:
    """Keep the highest rate of a day, and the capacity of that minute."""
    if minute % DAY == 0:
        year.peaks.append(0.0)
        year.capacities.append(0.0)
    if rate > year.peaks[-1]:
        year.peaks[-1], year.capacities[-1] = rate, capacity


def inputs_to_fail() -> int:
    """Return how many different inputs the router's own bounds need to say FAIL."""
    inputs = 10
    while share_bounds(round(inputs * BAD_FLIPS), inputs, ALPHA).lower <= FLIP_LIMIT:
        inputs += 10
    return inputs


def minutes_to_fail(rate: float) -> float:
    """Return how long it takes to see that a shadow is worse, alarm included."""
    return inputs_to_fail() / (60 * rate) + 1


def year_table(year: Year) -> str:
    """Return the table of the runbook."""
    failed = sum(year.errors.values())
    cost = sum(12 * n for part, n in bill(MEAN_RATE).items() if part != "tasks")
    cost += year.task_minutes / 60 * (ROUTER.hourly_usd + 2 * API.hourly_usd)
    causes = ["bad model", "bad release", "dead zone", "burst"]
    lines = [
        "| what happened | requests without an answer | time to detect |",
        "|---|---:|---|",
    ]
    lost = year.errors.get("deploys", 0)
    lines += [f"| {year.deploys} deploys, drained | {lost:,.0f} | |"]
    lines += [
        f"| {one} | {year.errors.get(one, 0):,.0f} | {year.detected[one]} |"
        for one in causes
    ]
    lines += [f"| overload otherwise | {year.errors.get('overload', 0):,.0f} | |"]
    lines += [
        "",
        f"{year.requests / 1e9:.2f} billion requests, {failed:,.0f} of them without an "
        f"answer: {100 - 100 * failed / year.requests:.4f} % answered, for "
        f"{cost:,.0f} USD, {cost / year.requests * 1e6:.2f} USD a million.",
        f"A shadow that flips {BAD_FLIPS:.0%} of the labels is found out after "
        f"{inputs_to_fail():,} different inputs; no client ever saw it.",
    ]
    return "\n".join(lines) + "\n"


def picture(year: Year) -> str:
    """Return peaks of traffic and capacity by day as SVG."""
    width, height, left, low = 730, 260, 60, 220
    highest = max(max(year.peaks), max(year.capacities))

    def points(values: list[float]) -> str:
        return " ".join(
            f"{left + 1.8 * day:.1f},{low - 190 * value / highest:.1f}"
            for day, value in enumerate(values)
        )

    events = {"bad model": BAD_MODEL_AT, "bad release": BAD_RELEASE_AT}
    events |= {"dead zone": DEAD_ZONE_AT, "burst": BURST_AT}
    marks = "".join(
        f'<line x1="{left + 1.8 * at / DAY:.1f}" x2="{left + 1.8 * at / DAY:.1f}" '
        f'y1="30" y2="{low}" stroke="#999" stroke-dasharray="3 3"/>'
        f'<text x="{left + 1.8 * at / DAY + 4:.1f}" y="40">{name}</text>'
        for name, at in events.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" role="img">'
        "<title>Highest load of each day of a year, and the capacity then</title>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{marks}'
        f'<polyline points="{points(year.capacities)}" fill="none" stroke="#d95f02"/>'
        f'<polyline points="{points(year.peaks)}" fill="none" stroke="#1b6ca8"/>'
        f'<text x="4" y="36">{highest:,.0f}/s</text><text x="4" y="{low}">0</text>'
        f'<text x="{left}" y="{low + 20}">January</text>'
        f'<text x="{left + 590}" y="{low + 20}">December</text>'
        f'<text x="{left + 180}" y="{low + 34}" fill="#1b6ca8">highest load</text>'
        f'<text x="{left + 360}" y="{low + 34}" fill="#d95f02">capacity then</text>'
        "</svg>\n"
    )
