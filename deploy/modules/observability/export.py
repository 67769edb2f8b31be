"""
Say once a minute, as one line of JSON, how the comparison goes; runs beside the router.

Log filters make metrics of these lines. Only what came since the last line counts for
the loss: a run of a month would hide that nothing was compared today.
"""

import json
import os
import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

URL = os.environ.get("METRICS_URL", "http://127.0.0.1:8010/metrics")
PERIOD_S = float(os.environ.get("PERIOD_S", "60"))
LOST = ("dropped_", "internal_error")


def read() -> tuple[dict[str, float], set[str], float]:
    with urllib.request.urlopen(URL, timeout=10) as answer:
        text = answer.read().decode()
    fates: dict[str, float] = {}
    states, queue = set[str](), 0.0
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if name == "shadow_requests_total":
                fates[labels["fate"]] = value
            elif name == "shadow_verdict" and labels["gate"] == "overall":
                states.add(labels["state"])
            elif name == "shadow_queue_items":
                queue = value
    return fates, states, queue


def share_lost(before: dict[str, float], now: dict[str, float]) -> float:
    new = {fate: n - before.get(fate, 0) for fate, n in now.items()}
    due = sum(n for fate, n in new.items() if not fate.startswith("skipped_"))
    lost = sum(n for fate, n in new.items() if fate.startswith(LOST))
    return 100 * lost / due if due else 0.0


seen = None
while True:
    try:
        fates, states, queue = read()
        line = {
            "exporter": 1,
            "loss_percent": round(share_lost(seen or fates, fates), 3),
            "queue_items": queue,
            "is_fail": int("FAIL" in states),
            "is_invalid": int("INVALID" in states),
        }
        seen = fates
        print(json.dumps(line), flush=True)
    except OSError as error:
        # No line, no metric: the alarm on silence says so.
        print(f"exporter: {URL}: {type(error).__name__}", flush=True)
    time.sleep(PERIOD_S)
