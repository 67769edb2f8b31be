"""What is said where no engine can be had."""

import engine
import pytest


def test_start_is_refused_in_one_line_when_we_are_not_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    with pytest.raises(SystemExit, match="no Docker engine answers, and only root"):
        engine.check_machine()


def test_start_names_the_packages_when_programs_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SystemExit, match="apt install docker.io docker-compose mm"):
        engine.check_machine()
