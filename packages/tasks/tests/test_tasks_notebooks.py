"""When the notebooks are run again, and when that would find the same."""

from pathlib import Path

import pytest

from tasks.checks import notebooks


@pytest.fixture
def research(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A research folder with one notebook that ran, and a jupyter that only counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    build = tmp_path / "research/build"
    build.mkdir(parents=True)
    (tmp_path / "research/01.ipynb").write_text("{}")
    (tmp_path / "research/decision.yml").write_text("lda")
    jupyter = tmp_path / "bin/jupyter"
    jupyter.parent.mkdir()
    jupyter.write_text("#!/bin/sh\necho >> runs\ntouch research/build/01.html\n")
    jupyter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{jupyter.parent}:/usr/bin:/bin")
    assert notebooks.main() == 0
    assert runs() == 1
    return tmp_path / "research"


def runs() -> int:
    return len(Path("runs").read_text().splitlines())


def test_notebooks_are_left_alone_when_nothing_has_changed(
    research: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebooks.main() == 0
    assert runs() == 1
    assert "nothing has changed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["01.ipynb", "decision.yml"])
def test_notebooks_run_again_when_their_text_or_decision_has_changed(
    research: Path, name: str
) -> None:
    (research / name).write_text("changed")
    assert notebooks.main() == 0
    assert runs() == 2


def test_notebooks_run_again_when_a_library_has_changed(
    research: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(notebooks.distributions())[1:]
    monkeypatch.setattr(notebooks, "distributions", lambda: found)
    assert notebooks.main() == 0
    assert runs() == 2


def test_notebooks_run_again_when_a_page_is_missing_or_it_is_ci(
    research: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (research / "build/01.html").unlink()
    assert notebooks.main() == 0
    assert runs() == 2
    monkeypatch.setenv("CI", "true")
    assert notebooks.main() == 0
    assert runs() == 3
