"""Packaging: the lock, the conda environment and the make targets agree with pyproject.toml."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny_book import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
LOCK = (CHECKOUT / "requirements.lock").read_text()
LOCKED = [Requirement(line) for line in LOCK.splitlines() if line and not line.lstrip().startswith("#")]
EXTRAS = PROJECT["optional-dependencies"]
APART = "ray"  # the extra that has an environment of its own, and a lock of its own
REQUIRED = [*PROJECT["dependencies"], *(line for name, lines in EXTRAS.items() if name != APART for line in lines)]
ENVIRONMENTS = [
    {"sys_platform": platform, "python_version": python, "python_full_version": f"{python}.7"}
    for platform in ("linux", "darwin")
    for python in ("3.11", "3.12", "3.13")
]


def test_every_line_of_the_lock_is_an_exact_version() -> None:
    for requirement in LOCKED:
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), requirement
        assert "*" not in str(requirement.specifier)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: f"{e['sys_platform']}-{e['python_version']}")
def test_the_lock_pins_every_requirement_once_on_every_platform(environment: dict[str, str]) -> None:
    active = [pin for pin in LOCKED if pin.marker is None or pin.marker.evaluate(environment)]
    pins = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in active}
    assert len(pins) == len(active)
    for requirement in map(Requirement, REQUIRED):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_the_engine_apart_is_pinned_to_what_its_extra_allows() -> None:
    (pin,) = [Requirement(line) for line in (CHECKOUT / "tests" / "engines.txt").read_text().splitlines()[1:]]
    (asked,) = map(Requirement, EXTRAS[APART])
    assert pin.name == asked.name
    assert asked.specifier.contains(next(iter(pin.specifier)).version)


def test_the_lock_names_its_command_and_no_host() -> None:
    assert "make lock" in LOCK[:200]
    assert "://" not in LOCK
    assert "--" not in LOCK.replace("# ---", "")


def test_conda_installs_the_lock_and_the_package() -> None:
    environment = yaml.safe_load((CHECKOUT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock", "-e ."]
    (python,) = [entry for entry in environment["dependencies"] if str(entry).startswith("python=")]
    assert Requirement("python" + PROJECT["requires-python"]).specifier.contains(python.removeprefix("python="))


def test_binder_opens_every_chapter_at_the_published_results(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    sources = list((CHECKOUT / "book").glob("*.py"))
    for path in (*sources, CHECKOUT / "postBuild", CHECKOUT / "jupytext.toml"):
        shutil.copy(path, tmp_path / path.relative_to(CHECKOUT))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "postBuild"], cwd=tmp_path, env=os.environ | {"PATH": path}, check=True, capture_output=True)
    for source in sources:
        notebook = nbformat.read(tmp_path / "notebooks" / f"{source.stem}.ipynb", as_version=4)
        parameters = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        assert [text.splitlines()[0] for text in parameters] == ['profile = "laptop"'] * (source.stem != "live")


def test_make_help_lists_every_target() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    listed = subprocess.run(["make", "-s"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in listed.splitlines()] == phony.split()


def test_make_refuses_an_old_python_with_one_line(tmp_path: Path) -> None:
    project(tmp_path)
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = subprocess.run(
        ["make", "setup", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert f"Python 3.11 or newer is needed, and {old} is not" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_refuses_an_intel_mac_with_one_line(tmp_path: Path) -> None:
    project(tmp_path)
    mac = "import platform; platform.system, platform.machine = lambda: 'Darwin', lambda: 'x86_64'"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{mac}; import sys; exec(sys.argv[2])" "$@"\n')
    python.chmod(0o755)
    command = ["make", "setup", f"PYTHON={python}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "PyTorch has no packages for an Intel Mac" in result.stderr
    assert not (tmp_path / ".venv").exists()


def project(directory: Path) -> None:
    """Puts the Makefile into `directory` with what is to be installed, which is nothing."""
    directory.mkdir(exist_ok=True)
    shutil.copy(CHECKOUT / "Makefile", directory)
    for name in ("pyproject.toml", "requirements.lock"):
        (directory / name).touch()


def make_setup(directory: Path, **environment: str) -> str:
    """Returns what uv was asked to do by `make setup`."""
    told = directory / "told"
    told.write_text("")
    subprocess.run(
        ["make", "setup", f"PYTHON={sys.executable}"], cwd=directory, env=os.environ | environment, check=True
    )
    return told.read_text()


UV = '#!/bin/sh\necho "$@" >> told\n'


def test_installing_is_done_once_and_again_in_a_checkout_that_was_moved(tmp_path: Path) -> None:
    first, second = tmp_path / "first place", tmp_path / "second place"
    project(first)
    uv = first / ".venv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(UV)
    uv.chmod(0o755)
    assert "--editable ." in (told := make_setup(first))
    assert "--reinstall" not in told
    assert make_setup(first) == ""
    first.rename(second)
    assert [line.count("--reinstall") for line in make_setup(second).splitlines()] == [1, 1]
    assert make_setup(second) == ""


def test_a_users_pip_settings_say_from_where_and_not_where_to(tmp_path: Path) -> None:
    """The only uv to be had is in the directory that the settings name, in a wheel."""
    project(tmp_path)
    (version,) = re.findall(r"^UV_VERSION := (.+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    information = f"uv-{version}.dist-info"
    with zipfile.ZipFile(tmp_path / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        script = zipfile.ZipInfo(f"uv-{version}.data/scripts/uv")
        script.external_attr = (stat.S_IFREG | 0o755) << 16
        wheel.writestr(script, UV)
        wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    where_to = {"PIP_USER": "1", "PIP_TARGET": "elsewhere", "PIP_CONSTRAINT": "/nowhere", "PIP_REQUIRE_VIRTUALENV": "1"}
    from_where = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    assert "--editable ." in make_setup(tmp_path, **where_to, **from_where)
    assert not (tmp_path / "elsewhere").exists()


def test_a_checkout_with_the_line_ends_of_windows_has_scripts_that_run(tmp_path: Path) -> None:
    names = [".gitattributes", "Makefile", "postBuild", ".ci/run", "book/model_size.py", "book/_static/model_size.svg"]
    names += [str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "paper_lib" / "widgets").glob("*.safetensors")]
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=x", "-c", "user.email=x"]
    for name in names:
        (tmp_path / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / "repository" / name)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "x"]):
        subprocess.run([*git, *command], cwd=tmp_path / "repository", check=True)
    subprocess.run([*git, "clone", "--quiet", "repository", "checkout"], cwd=tmp_path, check=True)
    for name in names:
        assert (tmp_path / "checkout" / name).read_bytes() == (CHECKOUT / name).read_bytes(), name


def test_an_installed_library_has_all_of_its_files() -> None:
    patterns = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    others = [p for p in (CHECKOUT / "paper_lib").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    assert len(others) > 4
    for path in others:
        package = ".".join(path.parent.relative_to(CHECKOUT).parts)
        assert any(path.match(pattern) for pattern in patterns.get(package, [])), path


def test_the_ci_script_runs_the_readmes_test_command() -> None:
    script = CHECKOUT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()


def test_the_citation_is_of_this_book_and_of_the_paper() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    # What the Citation File Format 1.2.0 requires of a file and of a reference.
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert {"authors", "title", "type"} <= paper.keys()
    for author in citation["authors"] + paper["authors"]:
        assert author.keys() in ({"name"}, {"family-names", "given-names"})
    theme = yaml.safe_load((CHECKOUT / "_config.yml").read_text())["sphinx"]["config"]["html_theme_options"]
    assert citation["title"] == theme["logo"]["text"]
    assert citation["license"] == PROJECT["license"]
    # Every form of the citation names the same paper.
    readme = (CHECKOUT / "README.md").read_text()
    bibliography = (CHECKOUT / "book" / "references.bib").read_text()
    arxiv = paper["doi"].removeprefix("10.48550/arXiv.")
    for text in (readme, bibliography):
        assert arxiv in text
        assert all(author["family-names"] in text for author in paper["authors"])
