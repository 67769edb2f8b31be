"""The tests of the API, the same ones, against its image."""

import re
import subprocess
import sys

# What they ask is the server's, not a browser's; schemathesis takes minutes.
COMMAND = [sys.executable, "-m", "pytest", "api/tests", "--contract", "-q"]
COMMAND += ["-p", "no:cacheprovider", "--ignore", "api/tests/test_api_schemathesis.py"]


def test_every_test_of_the_shared_server_passes_against_the_image(
    built: dict[str, str],
) -> None:
    done = subprocess.run(
        [*COMMAND, "--image", built["live"]], capture_output=True, text=True
    )
    print(done.stdout[-5000:])
    assert done.returncode == 0
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 400


def test_contract_is_broken_when_the_image_is_of_another_version(
    built: dict[str, str],
) -> None:
    only = ["--image", built["shadow"], "-k", "test_health_names_both_versions"]
    done = subprocess.run([*COMMAND, *only], capture_output=True, text=True)
    assert done.returncode == 1
