"""`promote` and `rollback`: one pin moves, on a fresh PASS, or nothing does."""

import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from math import nan
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_router_evidence import compared

from shadow_router.errors import PromotionFailed, ShadowRouterError
from shadow_router.promotion import replacing
from shadow_router.promotion.changelog import with_entry
from shadow_router.promotion.promotion import Places, promote, roll_back
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import Batch, Store
from shadow_router.values import Fate

ENOUGH = 12_000
ROLES = {"live": "1.0.0", "shadow": "1.1.0"}
DIGESTS = {"live": "a" * 64, "shadow": "b" * 64}
CHANGELOG = """\
# Changelog

## [Unreleased]

### Changed

- A thing.

### Fixed

- Another.

## [0.1.0] - 2026-11-23
"""


def fill(directory, count=ENOUGH, flips=0, lost=0):
    """Keep comparisons made by the collector's own code."""
    directory.mkdir(exist_ok=True)
    store = Store(directory)
    store.note_rules(DEFAULT)
    items = []
    for x in range(count):
        one = compared(x, shadow="b" if x < flips else "a", ms=1.0)
        told = one.difference._replace(
            live_version=ROLES["live"],
            shadow_version=ROLES["shadow"],
        )
        items.append(one._replace(difference=told))
    store.write(Batch(items, {("r", Fate.DROPPED_WRITER): lost}))
    store.finalise("r", count + lost, {}, 0)
    store.close()


def tell(directory, **digests):
    store = Store(directory)
    for role, digest in digests.items():
        store.note_identity(role, digest)
    store.close()


def publish(index, version, digest):
    """Place a wheel with a manifest and return the line that pins it."""
    path = index / "wine_model" / f"wine_model-{version}-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wine_model/manifest.json", json.dumps({"digest": digest}))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"Wine.model=={version} --hash=sha256:{sha256}"


@pytest.fixture(scope="module")
def passing(tmp_path_factory):
    directory = tmp_path_factory.mktemp("passing")
    fill(directory)
    return directory


@pytest.fixture
def repository(tmp_path, passing, monkeypatch):
    """A repository whose run passes with both digests told."""
    monkeypatch.chdir(tmp_path)
    requirements, data = tmp_path / "api/requirements", tmp_path / ".shadow_router"
    requirements.mkdir(parents=True)
    for role, version in ROLES.items():
        line = publish(tmp_path / "packages/index", version, DIGESTS[role])
        (requirements / f"{role}.txt").write_text(f"-r base.txt\n{line}\n")
    (tmp_path / "api/CHANGELOG.md").write_text(CHANGELOG)
    shutil.copytree(passing, data)
    tell(data, **DIGESTS)
    return tmp_path


def run(repository, *arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHADOW_ROUTER_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "shadow_router", *arguments],
        cwd=repository,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )


def contents(repository):
    """Return every file that a promotion may touch, by name."""
    folders = (repository / "api", repository / ".shadow_router")
    files = (path for one in folders for path in one.rglob("*") if path.is_file())
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in files
        if "sqlite" not in path.name and "lock" not in path.name
    }


PLACES = Places(
    Path("api/requirements"),
    Path("api/CHANGELOG.md"),
    Path("packages/index"),
    Path(".shadow_router"),
)


def refusal(repository, change=promote, *how):
    """Return the one line of a change that must refuse and leave all as it is."""
    before = contents(repository)
    with pytest.raises(ShadowRouterError) as caught:
        change(PLACES, *(how or [3600] * (change is promote)))
    assert contents(repository) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def log(repository):
    text = (repository / ".shadow_router/promotions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_promote_moves_the_pin_when_the_verdict_passes(repository):
    pins = repository / "api/requirements"
    old, new = (pins / "live.txt").read_text(), (pins / "shadow.txt").read_text()
    done = run(repository, "promote")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "live: Wine.model 1.1.0 instead of 1.0.0\n"
    assert (pins / "live.txt").read_text() == new
    assert (pins / "shadow.txt").read_text() == new
    assert (pins / "previous.txt").read_text() == old


def test_promote_writes_changelog_and_audit_when_the_pin_moves(repository):
    (repository / "api/requirements/live.txt").chmod(0o664)
    assert run(repository, "promote").returncode == 0
    rights = {
        path.name: path.stat().st_mode & 0o777
        for folder in ("api/requirements", ".shadow_router")
        for path in (repository / folder).iterdir()
    }
    assert rights["live.txt"] == rights["previous.txt"] == 0o664
    assert rights["promotions.jsonl"] == 0o600
    assert all(mode == 0o600 for name, mode in rights.items() if "verdict-" in name)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    entry = (
        "- Serves Wine.model 1.1.0 instead of 1.0.0; verdict PASS on 12,000 unique "
        f"inputs, {day}.\n"
    )
    expected = CHANGELOG.replace("- A thing.\n", f"- A thing.\n{entry}")
    assert (repository / "api/CHANGELOG.md").read_text() == expected
    (line,) = log(repository)
    assert line["who"] == pwd.getpwuid(os.getuid()).pw_name
    assert line["event"] == "promote" and line["at"].startswith(day)
    assert line["from"].startswith("Wine.model==1.0.0 --hash=sha256:")
    assert line["to"].startswith("Wine.model==1.1.0 --hash=sha256:")
    kept = repository / f".shadow_router/verdict-{line['verdict_sha256']}.json"
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == line["verdict_sha256"]
    bundle = json.loads(kept.read_text())
    assert bundle["verdict"]["state"] == "PASS"
    assert bundle["digests"] == {role: [d] for role, d in DIGESTS.items()}


@pytest.mark.slow
def test_rollback_restores_every_byte_of_the_pins_when_run_once(repository):
    pins = repository / "api/requirements"
    before = {path.name: path.read_bytes() for path in pins.iterdir()}
    assert run(repository, "promote").returncode == 0
    done = run(repository, "rollback")
    assert done.returncode == 0
    assert done.stdout == "live: Wine.model 1.0.0 instead of 1.1.0\n"
    assert {path.name: path.read_bytes() for path in pins.iterdir()} == before
    assert [line["event"] for line in log(repository)] == ["promote", "rollback"]
    text = (repository / "api/CHANGELOG.md").read_text()
    assert "- Serves Wine.model 1.0.0 again instead of 1.1.0, 20" in text
    assert refusal(repository, roll_back) == (
        "nothing to roll back to: api/requirements/previous.txt is not there; "
        "`promote` makes it, `rollback` uses it"
    )


def test_promote_goes_forward_again_when_rolled_back(repository):
    promote(PLACES, 3600)
    roll_back(PLACES)
    promote(PLACES, 3600)
    assert "==1.1.0" in (repository / "api/requirements/live.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({"count": 100, "flips": 20}, "the verdict is FAIL, not PASS: flips"),
        ({"count": 100}, "the verdict is INCONCLUSIVE, not PASS: not yet decided"),
        ({"count": 98, "lost": 2}, "the verdict is INVALID, not PASS: 2.0% of the"),
    ],
)
def test_promote_refuses_when_the_verdict_is_not_pass(repository, evidence, said):
    shutil.rmtree(".shadow_router")
    fill(Path(".shadow_router"), **evidence)
    tell(Path(".shadow_router"), **DIGESTS)
    assert refusal(repository).startswith(said)


def rewrite(statement):
    """Change what the run holds: cheaper than another run."""
    with sqlite3.connect(".shadow_router/comparisons.sqlite") as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE versions SET version = '1.2.0' WHERE role = 'shadow'",
            "shadow of this run was 1.2.0, its pin is Wine.model 1.1.0: compare",
        ),
        (
            "UPDATE versions SET version = '0.9.0' WHERE role = 'live'",
            "live of this run was 0.9.0, its pin is Wine.model 1.0.0: compare",
        ),
        (
            "DELETE FROM versions",
            "live told no version in this run (paths.version of the rules)",
        ),
    ],
)
def test_promote_refuses_when_the_run_compared_others(repository, statement, said):
    rewrite(statement)
    assert refusal(repository).startswith(said)


@pytest.mark.slow
def test_promote_refuses_when_the_evidence_is_too_old(repository):
    rewrite(f"UPDATE comparisons SET at_ns = at_ns - {3700 * 10**9}")
    said = refusal(repository)
    assert re.fullmatch(
        "the verdict is stale: its newest comparison is 6[2-9] min old, at most 60 are "
        r"allowed \(--max-age-minutes\)",
        said,
    )
    assert refusal(repository, promote, nan).startswith("the verdict is stale")
    assert run(repository, "promote", "--max-age-minutes", "99").returncode == 0


@pytest.mark.slow
def test_refusal_is_one_line_and_no_traceback_on_the_console(repository):
    done = run(repository, "promote", "--max-age-minutes", "0")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("shadow-router: the verdict is stale: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("role", ["live", "shadow"])
def test_promote_refuses_when_another_artefact_ran(repository, role, passing):
    data = repository / ".shadow_router"
    shutil.rmtree(data)
    shutil.copytree(passing, data)
    tell(data, **DIGESTS | {role: "c" * 64})
    said = refusal(repository)
    assert said.startswith(f"{role} ran another artefact than its pin names: digest c")


def test_promote_refuses_when_a_digest_changed_during_the_run(repository):
    tell(repository / ".shadow_router", shadow="c" * 64)
    said = refusal(repository)
    assert said.startswith("the verdict is INVALID, not PASS: shadow answered as ")


@pytest.mark.slow
def test_promote_says_so_when_only_versions_could_be_held(repository, passing):
    data = repository / ".shadow_router"
    shutil.rmtree(data)
    shutil.copytree(passing, data)
    done = run(repository, "promote")
    assert done.returncode == 0
    assert done.stderr == "".join(
        f"note: {role} told no digest in this run: only its version was held to the "
        "pin\n"
        for role in ROLES
    )


def test_promote_refuses_when_both_pins_are_the_same(repository):
    pins = repository / "api/requirements"
    shutil.copy(pins / "live.txt", pins / "shadow.txt")
    said = refusal(repository)
    assert said == "nothing to promote: live runs Wine.model 1.0.0 already"


def test_promote_refuses_when_the_wheel_is_not_the_pinned_one(repository):
    publish(repository / "packages/index", "1.1.0", "d" * 64)
    said = refusal(repository)
    assert said == (
        "no wheel of Wine.model 1.1.0 with the pin's sha256 lies in packages/index"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-r base.txt\nwine_model==1.1.0\n", "holds 0 lines"),
        ("wine_model>=1.1.0\n", "holds 0 lines"),
        (f"a==1 --hash=sha256:{'0' * 64}\nb==1 --hash=sha256:{'0' * 64}\n", "holds 2"),
    ],
)
def test_promote_refuses_when_there_is_not_one_pin(repository, text, said):
    (repository / "api/requirements/shadow.txt").write_text(text)
    assert said in refusal(repository)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("api/requirements/live.txt", "api/requirements/live.txt is not there"),
        ("api/CHANGELOG.md", "api/CHANGELOG.md: No such file or directory"),
    ],
)
def test_promote_refuses_when_a_file_is_missing(repository, missing, said):
    (repository / missing).unlink()
    assert refusal(repository).startswith(said)


def test_rollback_refuses_when_live_runs_the_previous_pin_already(repository):
    pins = repository / "api/requirements"
    shutil.copy(pins / "live.txt", pins / "previous.txt")
    said = refusal(repository, roll_back)
    assert said == "nothing to roll back: live runs Wine.model 1.0.0 already"


@pytest.mark.parametrize("step", range(5))
def test_nothing_has_changed_when_a_step_of_a_promotion_fails(
    repository, monkeypatch, step
):
    before, steps, real = contents(repository), iter(range(99)), os.replace

    def failing(*paths):
        if next(steps) == step:
            raise OSError(28, "No space left on device", str(paths[1]))
        real(*paths)

    monkeypatch.setattr(replacing, "os", SimpleNamespace(**vars(os)))
    monkeypatch.setattr(replacing.os, "replace", failing)
    with pytest.raises(PromotionFailed, match="nothing was changed: .* No space left"):
        promote(PLACES, 3600)
    assert contents(repository) == before


KILLED = """\
import os, signal, sys
from pathlib import Path
from shadow_router.promotion import replacing
from shadow_router.promotion.promotion import Places, promote

left, real = int(sys.argv[1]), os.replace

def replace(*paths):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(*paths)

os.replace = replace
api = Path("api")
index, data = Path("packages/index"), Path(".shadow_router")
promote(Places(api / "requirements", api / "CHANGELOG.md", index, data), 3600)
"""


@pytest.mark.slow(after=1)
@pytest.mark.parametrize("step", range(5))
def test_promotion_can_be_made_and_undone_when_one_was_killed(repository, step):
    pins = repository / "api/requirements"
    live = (pins / "live.txt").read_bytes()
    command = [sys.executable, "-c", KILLED, str(step)]
    done = subprocess.run(command, cwd=repository, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert (pins / "live.txt").read_bytes() == live
    promote(PLACES, 3600)
    roll_back(PLACES)
    assert (pins / "live.txt").read_bytes() == live
    assert not list(repository.rglob("*.draft"))


def test_rollback_waits_for_a_change_of_the_same_pins_from_other_books(repository):
    promote(PLACES, 3600)
    (repository / "other_books").mkdir()
    other = replace(PLACES, data_dir=Path("other_books"))
    pins = repository / "api/requirements"
    draft = pins / ".live.txt.0123.draft"
    waiting = threading.Thread(target=roll_back, args=(other,))
    with replacing.turn(pins):
        draft.write_text("of whoever has the turn")
        waiting.start()
        waiting.join(1)
        assert waiting.is_alive()
        assert draft.exists() and (pins / "previous.txt").exists()
    waiting.join(30)
    assert not (pins / "previous.txt").exists()


HEAD = "# Changelog\n\nFor readers.\n"
MADE = "## [Unreleased]\n\n### Changed\n\n- New.\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEAD, f"{HEAD}\n{MADE}"),
        (f"{HEAD}\n## 1.0\n", f"{HEAD}\n{MADE}\n## 1.0\n"),
        ("## [Unreleased]\n\n## 1.0\n", f"{MADE}\n## 1.0\n"),
        (
            "## [Unreleased]\n\n### Added\n\n- A.\n\n### Fixed\n\n- F.\n",
            "## [Unreleased]\n\n### Added\n\n- A.\n\n### Changed\n\n- New.\n\n"
            "### Fixed\n\n- F.\n",
        ),
        ("## [Unreleased]\n\n### Changed\n", MADE),
        (
            "## [Unreleased]\n\n### Changed\n\n- A.\n\n## 1.0\n\n### Changed\n",
            "## [Unreleased]\n\n### Changed\n\n- A.\n- New.\n\n## 1.0\n\n### Changed\n",
        ),
    ],
)
def test_entry_goes_below_unreleased_changed_whatever_is_there(before, after):
    assert with_entry(before, "New.") == after
