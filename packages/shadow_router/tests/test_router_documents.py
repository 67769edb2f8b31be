"""What the documents say of rules and verdicts is so."""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from shadow_router.rules.rule_file import load_rules
from shadow_router.rules.rules import DEFAULT, PROFILES
from shadow_router.verdict.gates import GATES
from shadow_router.verdict.sequences import mean_bounds, share_bounds
from shadow_router.verdict.verdict import ALPHA

UNIT = Path(__file__).parents[1]
DOCS = UNIT.parents[1] / "docs"
TEXT = (DOCS / "verdict.md").read_text()
EACH = ALPHA / len(GATES)


@pytest.mark.slow
def test_picture_is_the_one_that_the_functions_draw(tmp_path):
    script, drawn = UNIT / "benchmarks" / "picture.py", tmp_path / "verdict.svg"
    subprocess.run([sys.executable, "-W", "error", script, drawn], check=True)
    assert drawn.read_text() == (DOCS / "verdict.svg").read_text()


def test_every_gate_is_explained():
    rows = re.findall(r"^\| ([a-z ]+) \| .* \| .* \| .* \|$", TEXT, re.M)
    names = {row.replace(" ", "_") for row in rows} - {"gate"}
    assert names == set(GATES) | {"measurement", "clients"}
    assert "evenly over the ten gates" in TEXT and len(GATES) == 10


def falls_below(limit, alpha, n, share=0.0):
    """Return whether exactly so many inputs bring the upper bound below a limit."""
    above, below = (share_bounds(share * k, k, alpha).upper for k in (n - 1, n))
    return below < limit <= above


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("11,221 unique requests", falls_below(0.001, EACH / 2, 11_221)),
        ("10,495 unique inputs", falls_below(0.001, EACH, 10_495)),
        ("| 924 (", falls_below(0.01, EACH, 924)),
        ("1,937 if 0.2 % flip", falls_below(0.01, EACH, 1937, 0.002)),
        ("6,406 if 0.5 % do", falls_below(0.01, EACH, 6406, 0.005)),
        ("class mix of three classes | 1,112", falls_below(0.01, EACH / 6, 1112)),
        ("three segments, each | 1,040", falls_below(0.01, EACH / 3, 1040)),
        ("`infra`) take 10,495", falls_below(0.001, EACH, 10_495)),
        ("`refactor`) 117,053", falls_below(0.0001, EACH, 117_053)),
        (
            "distance | 446",
            mean_bounds(446, 0, 0, EACH).upper
            < 0.02
            <= mean_bounds(445, 0, 0, EACH).upper,
        ),
    ],
)
def test_sizes_are_those_of_the_functions(said, holds):
    assert said in TEXT
    assert holds


def test_rule_file_of_the_readme_can_be_read(tmp_path):
    text = (UNIT / "README.md").read_text()
    path = tmp_path / "rules.yml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    rules = load_rules(path, date.today())
    assert set(rules.model_dump()) == set(DEFAULT.model_dump())
    assert rules.segments[0].edges == (10, 12.5)


def test_profiles_of_the_readme_are_those_of_the_code():
    text = (UNIT / "README.md").read_text()
    for name, (limits, atol) in PROFILES.items():
        row = re.search(rf"^\| `{name}` \| .* \| (.*) \| (.*) \| (.*) \|$", text, re.M)
        said = f"{limits.shifts:.1%}" if limits.shifts else "not asked"
        assert float(row[1]) == atol
        assert float(row[2].removesuffix(" %")) == pytest.approx(100 * limits.flips)
        assert row[3].replace(" %", "%") == said
