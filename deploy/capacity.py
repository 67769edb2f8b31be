"""
What a load takes and costs: tasks, store, and a month's price, from stated numbers.

Measured figures have their command beside them; prices are those of eu-central-1 as
noted down, before tax. Change a constant and run `numbers_of_the_runbook.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

# ---- measured on the build machine, one core, which nobody else used ----------

#: `tox run -e bench-api`, 16 connections, one row a request.
API_REQUESTS_PER_S = 19_383.0
#: `tox run -e bench-router`: microseconds of a core for a request, router and collector
#: together, with all of the traffic shadowed.
ROUTER_REQUESTS_PER_S = 1e6 / (80.4 + 118.3)
#: From start to ready, `tox run -e bench-api`.
API_READY_S = 0.47

# ---- assumed, and why -------------------------------------------------------

#: A virtual processor is one of two threads of a core.
VIRTUAL_PROCESSOR = 0.5
#: What autoscaling aims at, so that half of the tasks carry the load when a zone fails.
TARGET_LOAD = 0.5
REQUEST_BYTES, ANSWER_BYTES, RECORD_BYTES = 350, 450, 420
HOURS = 730
SECONDS = HOURS * 3600

# ---- prices in USD, eu-central-1 ----------------------------------------------

PRICES = {
    "processor an hour": 0.04656,
    "GiB of memory an hour": 0.00511,
    "load balancer an hour": 0.027,
    "load balancer unit an hour": 0.008,
    "endpoint in a zone an hour": 0.012,
    "NAT gateway an hour": 0.052,
    "NAT gateway a GB": 0.052,
    "firewall a month, with rules": 8.0,
    "firewall a million requests": 0.60,
    "log a GB": 0.63,
    "GB to the internet": 0.09,
    "db.m7g.large in two zones an hour": 0.404,
    "GB of store a month": 0.274,
    "keys, secrets, alarms, dashboard": 12.0,
}

ZONES, ENDPOINTS = 2, 4


@dataclass(frozen=True)
class Size:
    """Processors and memory of a task, and how many there are at least."""

    processors: float
    memory_gib: float
    at_least: int

    @property
    def hourly_usd(self) -> float:
        """Return what a task costs an hour."""
        processors = self.processors * PRICES["processor an hour"]
        return processors + self.memory_gib * PRICES["GiB of memory an hour"]


#: As in environments/production/main.tf; a test holds them together.
API = Size(1, 2, 2)
ROUTER = Size(2, 4, 2)


def tasks(rate: float, per_core: float, size: Size) -> int:
    """
    Return how many tasks carry a rate at the load that autoscaling aims at.

    Parameters
    ----------
    rate, per_core : float
        Requests a second in all, and what one core of the build machine does.
    """
    # One event loop uses one processor, whatever else the task has.
    capacity = per_core * VIRTUAL_PROCESSOR * TARGET_LOAD
    return max(size.at_least, ceil(rate / capacity))


def bill(rate: float) -> dict[str, float]:
    """Return a month's cost in USD by part, for a steady rate of requests a second."""
    requests = rate * SECONDS
    apis = 2 * tasks(rate, API_REQUESTS_PER_S, API)
    routers = tasks(rate, ROUTER_REQUESTS_PER_S, ROUTER)
    traffic_gb = requests * (REQUEST_BYTES + ANSWER_BYTES) / 1e9
    units = max(1.0, traffic_gb / HOURS)
    return {
        "tasks": HOURS * (apis * API.hourly_usd + routers * ROUTER.hourly_usd),
        "load balancer": HOURS
        * (
            PRICES["load balancer an hour"]
            + units * PRICES["load balancer unit an hour"]
        ),
        "firewall": PRICES["firewall a month, with rules"]
        + requests / 1e6 * PRICES["firewall a million requests"],
        "endpoints": HOURS * ZONES * ENDPOINTS * PRICES["endpoint in a zone an hour"],
        "store": HOURS * PRICES["db.m7g.large in two zones an hour"]
        + 50 * PRICES["GB of store a month"],
        # Live's records and the shadow's.
        "logs": 2 * requests * RECORD_BYTES / 1e9 * PRICES["log a GB"],
        "to the internet": requests * ANSWER_BYTES / 1e9 * PRICES["GB to the internet"],
        "the rest": PRICES["keys, secrets, alarms, dashboard"],
    }


def ways_out() -> tuple[float, float]:
    """Return what endpoints and NAT gateways cost a month before any traffic."""
    endpoints = HOURS * ZONES * ENDPOINTS * PRICES["endpoint in a zone an hour"]
    return endpoints, HOURS * ZONES * PRICES["NAT gateway an hour"]


def cost_table(rates: tuple[float, ...] = (1, 100, 10_000)) -> str:
    """Return the table of the runbook: USD a month by part and rate."""
    bills = [bill(rate) for rate in rates]
    head = "| USD a month | " + " | ".join(f"{rate:,} requests/s" for rate in rates)
    lines = [head + " |", "|---|" + "---:|" * len(rates)]
    for part in bills[0]:
        cells = " | ".join(f"{one[part]:,.0f}" for one in bills)
        lines.append(f"| {part} | {cells} |")
    totals = " | ".join(f"**{sum(one.values()):,.0f}**" for one in bills)
    lines.append(f"| **all** | {totals} |")
    million = [
        sum(one.values()) / (rate * SECONDS / 1e6) for one, rate in zip(bills, rates)
    ]
    lines.append(
        "| a million requests | " + " | ".join(f"{n:,.2f}" for n in million) + " |"
    )
    endpoints, gateways = ways_out()
    return "\n".join(lines) + (
        f"\n\nEndpoints cost {endpoints:,.0f} USD a month and nothing a request from "
        f"the internet; NAT gateways would cost {gateways:,.0f} USD and "
        f"{PRICES['NAT gateway a GB']} USD for each GB of logs and images.\n"
    )


def scale_table(rates: tuple[float, ...] = (1, 100, 10_000, 100_000, 1_000_000)) -> str:
    """Return what each load takes: tasks, zones, and rows for the store."""
    lines = [
        "| requests/s | live tasks | shadow tasks | router tasks | comparisons/s |",
        "|---:|---:|---:|---:|---:|",
    ]
    for rate in rates:
        apis = tasks(rate, API_REQUESTS_PER_S, API)
        routers = tasks(rate, ROUTER_REQUESTS_PER_S, ROUTER)
        share = sample_rate(rate)
        stored = f"{rate * share:,.0f} (`SAMPLE_RATE` {share:g})"
        lines.append(f"| {rate:,} | {apis} | {apis} | {routers} | {stored} |")
    return "\n".join(lines) + "\n"


#: What one store is asked to take; the verdict needs tens of thousands of inputs, once.
STORE_COMPARISONS_PER_S = 1_000.0


def sample_rate(rate: float) -> float:
    """Return the share of requests to copy, so that one store keeps up."""
    return min(1.0, STORE_COMPARISONS_PER_S / rate)
