"""What runs beside a service in its task, run for real."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from router_postgresql import PASSWORD, USER, PostgreSQL
from terraform_runs import DEPLOY

from iris_api.access.keys import read_keys
from shadow_router.private.controls import read_keys as read_control_keys
from tasks.deploy.deploy import first_values

PREPARE = DEPLOY / "modules/http_service/prepare.py"
EXPORT = DEPLOY / "modules/observability/export.py"
KEY_LINE = first_values()["api_keys"]


def prepare(folder, **settings):
    """Run what runs before a service."""
    more = {"DATA_DIR": str(folder), "OWNER": str(os.getuid()), **settings}
    environment = {"PATH": os.environ["PATH"], **more}
    command = [sys.executable, "-c", PREPARE.read_text()]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_secret_becomes_a_file_that_the_api_reads(tmp_path):
    assert prepare(tmp_path, FILE_API_KEYS=KEY_LINE).returncode == 0
    path = tmp_path / "api_keys"
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.read_text() == f"{KEY_LINE}\n"
    assert read_keys(path)
    # Records and books lie beside it.
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_first_control_key_is_one_that_the_router_reads(tmp_path):
    line = first_values()["control_keys"]
    assert prepare(tmp_path, FILE_CONTROL_KEYS=line).returncode == 0
    assert list(read_control_keys(tmp_path / "control_keys")) == ["first"]


def test_task_does_not_start_when_its_folder_is_not_there(tmp_path):
    done = prepare(tmp_path / "none", FILE_API_KEYS=KEY_LINE)
    assert done.returncode == 1 and KEY_LINE not in done.stderr


METRICS = """\
# TYPE shadow_requests counter
shadow_requests_total{{fate="match"}} {match}
shadow_requests_total{{fate="skipped_method"}} 7
shadow_requests_total{{fate="dropped_queue"}} {dropped}
# TYPE shadow_queue_items gauge
shadow_queue_items 3
# TYPE shadow_verdict gauge
shadow_verdict{{gate="overall",state="{state}"}} 1
shadow_verdict{{gate="latency",state="FAIL"}} 1
"""


@pytest.fixture
def exported():
    """Return two lines of the exporter, for a collector that says these things."""
    pages = []

    class Collector(BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.pop(0) if len(pages) > 1 else pages[0]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args):
            pass

    def run(*given):
        pages.extend(METRICS.format(**one) for one in given)
        with HTTPServer(("127.0.0.1", 0), Collector) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/metrics"
            environment = {**os.environ, "METRICS_URL": url, "PERIOD_S": "0.1"}
            command = [sys.executable, "-c", EXPORT.read_text()]
            with subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, text=True
            ) as exporter:
                lines = [exporter.stdout.readline() for _ in given]
                exporter.terminate()
            server.shutdown()
        return [json.loads(line) for line in lines]

    return run


def test_exporter_tells_the_loss_since_the_last_line(exported):
    before = {"match": 1000, "dropped": 500, "state": "INCONCLUSIVE"}
    first, second = exported(before, {**before, "match": 1090, "dropped": 510})
    assert first["loss_percent"] == 0
    assert second["loss_percent"] == 10


def test_exporter_tells_a_fail_of_the_whole_and_not_of_a_gate(exported):
    good = {"match": 1, "dropped": 0, "state": "PASS"}
    first, second = exported(good, {**good, "state": "FAIL"})
    assert (first["is_fail"], second["is_fail"]) == (0, 1)


def test_exporter_says_everything_that_a_filter_waits_for(exported):
    main = (DEPLOY / "modules/observability/main.tf").read_text()
    (line,) = exported({"match": 1, "dropped": 0, "state": "INVALID"})
    assert set(line) == {
        "exporter",
        "loss_percent",
        "queue_items",
        "is_fail",
        "is_invalid",
    }
    assert all(f"{name} " in main for name in line)
    assert line["is_invalid"] == 1


def test_each_pair_of_versions_gets_a_schema_that_its_url_leads_to(tmp_path):
    main = (DEPLOY / "modules/stack/main.tf").read_text()
    url = re.search(r'SHADOW_ROUTER_STORE_URL += "(.*)"', main)[1]
    url = url.replace("${local.pair}", "1a2b_3c4d")
    with PostgreSQL() as server:
        login = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": USER}
        login |= {"PGPASSWORD": PASSWORD, "PGDATABASE": "postgres"}
        for _ in range(2):
            done = prepare(tmp_path, STORE_SCHEMA="run_1a2b_3c4d", **login)
            assert done.returncode == 0, done.stderr
        asked = "from sqlalchemy import create_engine as e, text\n"
        asked += f"with e({url!r}).connect() as c:\n"
        asked += "    print(c.execute(text('select current_schema()')).scalar())"
        told = subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, **login},
            capture_output=True,
            text=True,
        )
    assert told.stdout == "run_1a2b_3c4d\n", told.stderr
