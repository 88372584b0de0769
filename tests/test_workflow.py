"""The GitHub workflow: zizmor finds nothing in it, little of it may write, and all that it calls is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import yaml
from tiny_book import CHECKOUT

WORKFLOW = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "book.yml").read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_zizmor_has_no_findings() -> None:
    zizmor = Path(sysconfig.get_path("scripts")) / "zizmor"
    command = [zizmor, "--offline", "--no-config", "--persona", "pedantic", CHECKOUT / ".github"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_only_the_job_that_publishes_may_write_and_a_pull_request_does_not_run_it() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    (writing,) = [job for job in WORKFLOW["jobs"].values() if "permissions" in job]
    assert writing["permissions"] == {"contents": "write"}
    assert writing["if"] == "github.event_name == 'push'"


def test_what_the_steps_run_is_there() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    commands = [shlex.split(line) for step in STEPS for line in step.get("run", "").splitlines()]
    targets = {command[1] for command in commands if command[0] == "make"}
    assert {"book"} <= targets <= set(phony.split())
    assert all(os.access(CHECKOUT / command[0], os.X_OK) for command in commands if command[0].startswith(".ci/"))
    # Nothing is installed that the lock does not pin.
    assert [command for command in commands if "install" in command] == [
        [".venv/bin/pip", "install", "--constraint", "requirements.lock", "ghp-import"]
    ]
    assert re.search(r"^ghp-import==", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)


def test_an_action_is_pinned_beside_the_version_that_a_reader_knows() -> None:
    uses = re.findall(r"uses: (.+)", (CHECKOUT / ".github" / "workflows" / "book.yml").read_text())
    assert len(uses) == sum("uses" in step for step in STEPS)
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action) for action in uses)
