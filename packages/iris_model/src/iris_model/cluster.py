"""
The workers that score: those of a Dask cluster, or the threads of this process.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client, LocalCluster

from iris_model.errors import ScoringFailed
from iris_model.machine import usable_cores

CONNECT_SECONDS = 10


@contextlib.contextmanager
def connect(scheduler: str | None) -> Iterator[Client]:
    """Give a client of a cluster, or of a scheduler inside this process."""
    # What goes wrong comes back as an exception; Dask's log would say it again.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            address: Any = stack.enter_context(_local_threads(folder))
        else:
            address = scheduler
        try:
            # Dask declares no types for its constructors.
            client = Client(  # type: ignore[no-untyped-call]
                address, timeout=CONNECT_SECONDS, set_as_default=False
            )
            stack.enter_context(client)
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error) or "no answer"
            raise ScoringFailed(
                f"Dask scheduler {scheduler}", " ".join(reason.split())
            ) from None
        yield client


def _local_threads(folder: str) -> LocalCluster:
    # Dask always opens two HTTP ports; these are bare and not for the network.
    quiet: dict[str, Any] = {
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
        "temporary-directory": folder,
    }
    with dask.config.set(quiet):
        return LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=1,
            threads_per_worker=usable_cores(),
            processes=False,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            local_directory=folder,
            memory_limit=0,
        )
