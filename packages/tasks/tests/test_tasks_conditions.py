"""The checker of conditions sees each kind that never decides, and no other."""

from pathlib import Path

import pytest

from tasks.checks.conditions import faults, main, what_is_wrong


@pytest.mark.parametrize(
    "condition",
    [
        "${{ github.ref == 'refs/heads/main' }} && success()",
        " ${{ failure() }}",
        "${{ failure() }}\n",
        "${{ a }} == ${{ b }}",
        "always() || github.actor == 'x'",
        "github.event_name == 'push' || 'pull_request'",
        "${{ failure() || true }}",
        "'false'",
        "(always() || failure()) || x == 'y'",
        "failure() || always() && 'x'",
        "1",
        True,
    ],
)
def test_condition_is_a_fault_when_it_is_always_true(condition: object) -> None:
    assert what_is_wrong(condition) is not None


@pytest.mark.parametrize(
    "condition",
    [
        "always()",
        "${{ always() }}",
        "github.event_name == 'push'",
        "${{ github.ref == 'refs/heads/main' && success() }}",
        "always() && github.event_name == 'push'",
        "a == 'x || y' || b == '(true)'",
        "contains(github.ref, 'v') || failure()",
        "''",
        "0",
        False,
    ],
)
def test_condition_is_no_fault_when_it_decides(condition: object) -> None:
    assert what_is_wrong(condition) is None


@pytest.mark.parametrize(
    "step",
    [
        "run: tox run || true",
        "run: tox run || exit 0",
        "run: |\n          set +e\n          tox run",
        "run: tox run; true",
        "run: tox run\n        continue-on-error: true",
        "run: tox run\n        if: ${{ failure() }} or so",
    ],
)
def test_workflow_is_red_when_a_step_cannot_fail(tmp_path: Path, step: str) -> None:
    text = f"on: push\njobs:\n  a:\n    steps:\n      - {step}\n"
    (tmp_path / "a.yml").write_text(text)
    assert len(faults(tmp_path / "a.yml")) == 1
    assert main(tmp_path) == 1


def test_folder_is_red_when_it_holds_no_workflow(tmp_path: Path) -> None:
    assert main(tmp_path) == 1
