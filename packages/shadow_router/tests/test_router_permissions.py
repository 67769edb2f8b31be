"""What clients have sent is for its owner alone; nobody else decides who is let in."""

import os
import stat
import subprocess
import sys

import pytest
from router_fakes import FakeServer
from router_system import System, post_many, refused_url, wait_until

from shadow_router.errors import KeysUnreadable
from shadow_router.private.controls import prepare_keys
from shadow_router.promotion.replacing import replace_all

KEY = "ops 0123456789abcdef0123\n"


def opened_to_others(folder):
    """Return what under a folder, itself included, others have any right on."""
    paths = [folder, *folder.rglob("*")]
    return {str(path) for path in paths if path.stat().st_mode & 0o077}


@pytest.mark.parametrize("umask", ["000", "077"])
def test_all_that_is_made_is_for_its_owner_alone(tmp_path, umask):
    prefix = ("sh", "-c", f'umask {umask}; exec "$@"', "sh")
    recorded = tmp_path / "recorded"
    settings = {"RECORD_DIR": recorded, "NOISE_SHARE": 1}
    with FakeServer() as live, FakeServer() as shadow:
        system = System(
            tmp_path / "data", live.url, shadow.url, prefix=prefix, **settings
        )
        with system:
            post_many(system, 5)
            system.settled_fates()
            made = ["report.html", "traffic.jsonl.gz"]
            for command in (
                ("report", "--output", tmp_path / made[0]),
                ("control", "rate", "0.5"),
                ("known", "label_flip", "--reason", "x", "--expires", "2099-12-31"),
            ):
                assert run_under(umask, system, *command).returncode == 0
            wait_until(lambda: list(recorded.glob("*.gz")))
            wait_until(
                lambda: not run_under(
                    umask, system, "record", tmp_path / made[1]
                ).returncode
            )
            assert system.stop() == 0
        assert opened_to_others(tmp_path / "data") == set()
        assert opened_to_others(recorded) == set()
        assert not any((tmp_path / name).stat().st_mode & 0o077 for name in made)
        assert "others than its owner" not in system.log


def run_under(umask, system, *arguments):
    """Run a command of the router under a umask."""
    command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *system._command[4:]]
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=system.env,
        capture_output=True,
        timeout=30,
    )


def test_directory_that_others_may_look_into_is_named_once(tmp_path):
    for name in ("data", "recorded"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    with FakeServer() as live, FakeServer() as shadow:
        settings = {"RECORD_DIR": tmp_path / "recorded"}
        with System(tmp_path / "data", live.url, shadow.url, **settings) as system:
            said = [x for x in system.log.splitlines() if "others than its owner" in x]
    assert len(said) == 2
    for name, line in zip(("data", "recorded"), said, strict=True):
        assert line.endswith(f"; chmod -R go= {tmp_path / name}")
        # It may be more than ours.
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o755
    assert opened_to_others(tmp_path / "data") == {str(tmp_path / "data")}


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_start_ends_in_one_line_when_others_may_write_the_keys(tmp_path, mode):
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    keys.chmod(mode)
    url = refused_url()
    system = System(tmp_path / "data", url, url, CONTROL_KEY_FILE=keys)
    # Without the tests' own `-W error`, which tells more than a user is told.
    command = [sys.executable, "-m", "shadow_router", "serve", "--only", "collector"]
    ended = subprocess.run(command, env=system.env, capture_output=True, text=True)
    assert ended.returncode == 78
    assert ended.stderr == (
        f"shadow-router: {keys}: others than its owner may write to it; "
        "chmod go-w it\n"
    )


def test_keys_are_refused_when_everybody_may_replace_them(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    keys = folder / "keys"
    keys.write_text(KEY)
    keys.chmod(0o600)
    folder.chmod(0o777)
    with pytest.raises(KeysUnreadable, match=f"everybody may .* chmod o-w {folder}$"):
        prepare_keys(tmp_path, keys)
    folder.chmod(0o1777)
    assert prepare_keys(tmp_path, keys) == keys


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o644])
def test_keys_are_read_when_they_are_a_secret_of_an_orchestrator(tmp_path, mode):
    volume = tmp_path / "secrets"
    (volume / "..2026").mkdir(parents=True)
    (volume / "..2026/keys").write_text(KEY)
    (volume / "..2026/keys").chmod(mode)
    (volume / "..data").symlink_to("..2026")
    (volume / "keys").symlink_to("..data/keys")
    volume.chmod(0o1777)
    assert prepare_keys(tmp_path, volume / "keys") == volume / "keys"


def test_replaced_file_keeps_its_rights_and_a_new_one_is_its_owners(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("a")
    old.chmod(0o664)
    replace_all({old: b"b", new: b"c"})
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (old, new)]
    assert modes == [0o664, 0o600]
    assert os.listdir(tmp_path)
