"""One set of checks, whoever runs them: the Makefile, pre-commit, CI."""

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PRE_COMMIT: dict[str, Any] = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")
HOOKS: list[dict[str, Any]] = PRE_COMMIT["repos"][0]["hooks"]
WORKFLOW: dict[str, Any] = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")
CI = ROOT / ".ci/run"


def recipe(target: str) -> list[str]:
    """The commands of a Makefile target, without its set-up."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.M)
    assert found is not None
    lines = [line.strip() for line in found[1].splitlines()]
    return [line.replace("$(VENV)", ".venv/bin") for line in lines if not line.startswith("@")]


def runs(hook: dict[str, Any], command: str) -> bool:
    """Whether `hook` is `command`; the files at its end are pre-commit's to add."""
    if hook.get("pass_filenames") is False:
        return bool(hook["entry"] == command)
    entry, _, pattern = command.rpartition(" ")
    path = pattern.replace("*", "any")
    return bool(hook["entry"] == entry and re.search(hook["files"], path))


def test_pre_commit_runs_exactly_what_lint_and_types_run() -> None:
    commands = recipe("lint") + recipe("types")

    assert len(commands) == len(HOOKS)
    for hook, command in zip(HOOKS, commands, strict=True):
        assert runs(hook, command), (hook["entry"], command)


def test_pre_commit_accepts_its_configuration() -> None:
    command = [str(BIN / "pre-commit"), "validate-config", str(ROOT / ".pre-commit-config.yaml")]

    assert subprocess.run(command, check=False).returncode == 0


def test_pre_commit_uses_the_tools_of_the_lock_file() -> None:
    for hook in HOOKS:
        assert hook["language"] == "system"
        assert (BIN / hook["entry"].split()[0].removeprefix(".venv/bin/")).exists()


def test_every_hook_that_looks_at_files_has_some() -> None:
    listed = [str(path.relative_to(ROOT)) for path in ROOT.glob("*")]
    listed += [str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*")]

    for hook in HOOKS:
        assert "files" not in hook or any(re.search(hook["files"], path) for path in listed)


def test_ci_runs_lint_then_types_then_tests() -> None:
    commands = re.findall(r"^make .*$", CI.read_text(encoding="utf-8"), re.M)

    assert commands == ["make lint", "make types", "make test"]
    assert os.access(CI, os.X_OK)


def test_the_tests_run_on_both_releases_of_duckdb() -> None:
    """The folder that the one environment leaves out is what the other runs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    left_out = re.search(r'else \["(\w+)"\]', (ROOT / "tests/conftest.py").read_text("utf-8"))

    assert left_out is not None
    assert f"\t@.venv-lake/bin/pytest tests/{left_out[1]} tests/collector/store\n" in makefile
    assert "\t@$(VENV)/pytest\n" in makefile


def test_ci_stops_at_the_first_failure_and_says_so(tmp_path: Path) -> None:
    """With a `make` that fails at types: lint is run, tests are not, the exit code is kept."""
    (tmp_path / "make").write_text('#!/bin/sh\necho "made $1"\n[ "$1" != types ] || exit 7\n')
    (tmp_path / "make").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    answer = subprocess.run(
        [CI], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert answer.returncode == 7
    assert answer.stdout == "made lint\nmade types\n"


def test_the_workflow_runs_the_same_script_and_may_only_read() -> None:
    steps = WORKFLOW["jobs"]["checks"]["steps"]

    assert steps[-1]["run"] == ".ci/run"
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_workflow_pins_its_actions() -> None:
    used = [
        step["uses"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "uses" in step
    ]

    assert used
    assert all(fnmatch.fnmatch(action, "*/*@v[0-9]*") for action in used)
