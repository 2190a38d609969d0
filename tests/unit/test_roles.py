"""The parts that are installed alone (packages/*): what they import they have, and what they lack they say in one line.

An installation is laid out here from this environment's own libraries, by links: exactly the files that the wheel of a
part names and the distributions that it needs. ``scripts/check_roles.py`` does the same with pip.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest

from gensafe import media
from gensafe.cli import COMMANDS
from gensafe.core import roles
from gensafe.core.types import Audio, Text

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("client", "verifier")
STAMPED = ROOT / "tests" / "assets" / "pki" / "stamped.png"
NAME = re.compile(r"[A-Za-z0-9._-]+")
GIVEN = {module: {one.lower() for one in names} for module, names in packages_distributions().items()}


def project(part: str) -> dict:
    folder = ROOT if part == "whole" else ROOT / "packages" / part
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def files_of(part: str) -> list[Path]:
    """Python files of the wheel, relative to the tree."""
    named = project(part)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all(source.removeprefix("../../") == target for source, target in named.items())
    found = [ROOT / target for target in named.values()]
    inside = [sorted(p.rglob("*")) if p.is_dir() else [p] for p in found]
    return [p.relative_to(ROOT) for group in inside for p in group if p.is_file() and "__pycache__" not in p.parts]


def needed(requirements: list[str]) -> set[str]:
    """Distributions that the requirements bring into this environment, with what those need; extras left out."""
    todo, found = [NAME.match(one)[0] for one in requirements], set()
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name not in found:
            try:
                further = distribution(name).requires or []
            except Exception:  # for another system, or another version of Python
                continue
            found.add(name)
            todo += [NAME.match(one)[0] for one in further if "extra ==" not in one]
    return found


def imports_of(file: Path) -> set[str]:
    """What one file of ours imports when it is imported."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if later or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                found.update({child.module, *(f"{child.module}.{alias.name}" for alias in child.names)})
            visit(child)

    visit(ast.parse((ROOT / file).read_text("utf-8")))
    return found


def module_of(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def closure(part: str, roots: list[str]) -> set[str]:
    """Top-level modules of others that are imported when the roots are."""
    ours = {module_of(f): f for f in files_of(part) if f.suffix == ".py"}
    everything = {module_of(p.relative_to(ROOT)) for p in (ROOT / "gensafe").rglob("*.py")}
    todo, seen, others = list(roots), set(), set()
    while todo:
        name = todo.pop()
        if name in seen or (name.startswith("gensafe") and name not in everything):
            continue  # a name inside a module
        if not name.startswith("gensafe"):
            others.add(name.partition(".")[0])
            continue
        assert name in ours, f"gensafe-{part} imports {name}, which is not in packages/{part}/pyproject.toml"
        seen.add(name)
        todo += [*imports_of(ours[name]), *(name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1))]
    return others - sys.stdlib_module_names


def commands_of(part: str) -> list[str]:
    return [name for name in COMMANDS if Path(f"gensafe/cli/{name}.py") in files_of(part)]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_all_that_it_imports(part):
    roots = {"client": ["gensafe.client"], "verifier": [f"gensafe.cli.{c}" for c in commands_of("verifier")]}[part]
    roots += ["gensafe.verify.contain", "gensafe.media.sandbox_worker"] if part == "verifier" else []
    declared = {NAME.match(one)[0].lower() for one in project(part)["project"]["dependencies"]}
    missing = {m for m in closure(part, roots) if m in GIVEN and not GIVEN[m] & declared}
    assert not missing, f"gensafe-{part} imports {missing} and does not require them"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_asks_for_the_versions_of_the_whole(part):
    whole = set(project("whole")["project"]["dependencies"])
    own = project(part)["project"]
    extras = own.get("optional-dependencies", {})
    assert {*own["dependencies"], *(one for extra in extras.values() for one in extra)} <= whole
    for module, extra in roles.EXTRAS.items():
        if extra.startswith(f"{own['name']}["):
            brought = {NAME.match(one)[0].lower() for one in extras[extra.partition("[")[2].rstrip("]")]}
            assert GIVEN[module] & brought


def lay_out(part: str, place: Path) -> Path:
    """The Python of an environment that holds what ``pip install gensafe-PART`` would bring, and nothing else."""
    venv.create(place, symlinks=True)
    own = project(part)["project"]
    site = next((place / "lib").glob("python*")) / "site-packages"
    for file in files_of(part):
        link(ROOT / file, site / file)
    for name in needed(own["dependencies"]):
        for file in distribution(name).files or []:
            if ".." not in file.parts and file.suffix != ".pyc" and file.locate().is_file():
                link(Path(file.locate()), site / file)
    info = site / f"{own['name'].replace('-', '_')}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {own['name']}\nVersion: 0\n")
    return place / "bin" / "python"


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """alone(part, arguments...) runs Python with that part only."""
    places: dict[str, Path] = {}

    def run(part: str, *arguments: str) -> subprocess.CompletedProcess:
        if part not in places:
            places[part] = lay_out(part, tmp_path_factory.mktemp(part))
        command = [str(places[part]), "-P", *arguments]
        return subprocess.run(
            command, env={"PATH": os.environ["PATH"]}, cwd=places[part].parent, capture_output=True, text=True
        )

    return run


def test_the_client_alone_speaks_to_a_server(alone):
    program = "from gensafe.client import Client\nClient('127.0.0.1:1').models(timeout_s=0.3)"
    ended = alone("client", "-c", program)
    assert "gensafe.core.errors.BackendUnavailable" in ended.stderr and "ModuleNotFound" not in ended.stderr
    assert alone("client", "-c", "import numpy").returncode == 1


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The good bundle of the test vectors, and its key."""
    folder = tmp_path_factory.mktemp("export")
    vectors = json.loads((ROOT / "tests" / "assets" / "bundles" / "vectors.json").read_text("utf-8"))
    for name, text in vectors["good"].items():
        (folder / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "bundle" / name).write_bytes(text.encode("utf-8"))
    (folder / "log.key").write_text(vectors["log_key"])
    return folder


def test_the_verifier_alone_says_what_the_whole_says(alone, export, tmp_path):
    words, sound = tmp_path / "words.txt", tmp_path / "tone.wav"
    words.write_bytes(media.encode(Text("no manifest here"), "text/plain"))
    sound.write_bytes(media.encode(Audio(np.zeros((1, 4000), np.float32), 8000), "audio/wav"))
    shapes = (
        ["verify", str(STAMPED), str(words), str(sound), "--json"],
        ["audit", "verify", str(export / "bundle"), "--log-key", str(export / "log.key")],
    )
    for shape in shapes:
        part = alone("verifier", "-m", "gensafe", *shape)
        whole = subprocess.run(
            [sys.executable, "-m", "gensafe", *shape], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (part.returncode, part.stdout) == (whole.returncode, whole.stdout), part.stderr
        assert part.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve"], "gensafe serve needs gensafe; installed is gensafe-verifier alone"),
        (["verify", str(STAMPED), "--server", "127.0.0.1:1"], "pip install 'gensafe-verifier[remote]'"),
        (["audit", "report", "--regime", "eu-ai-act", "-o", "x.html"], "gensafe audit report needs gensafe;"),
    ],
)
def test_what_the_verifier_lacks_is_one_line(alone, arguments, said):
    ended = alone("verifier", "-m", "gensafe", *arguments)
    assert ended.returncode == 64 and said in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr


def test_a_film_without_codecs_is_not_examined_and_not_damaged(alone, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08moov")
    ended = alone("verifier", "-m", "gensafe", "verify", str(film))
    assert ended.returncode == 3 and "COULD NOT BE EXAMINED" in ended.stdout, ended.stdout
    assert "gensafe-verifier[media]" in ended.stdout


def test_the_help_of_a_part_lists_what_it_has(alone):
    text = alone("verifier", "-m", "gensafe", "--help").stdout
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("    ")]
    assert listed == commands_of("verifier")


def test_a_missing_library_of_the_whole_stays_a_fault():
    assert roles.installed() == ("gensafe",)
    assert roles.lacking(ModuleNotFoundError(name="scipy"), "gensafe verify") is None


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_built_installed_alone_weighed_and_used(part):
    """With pip and an index, half a minute each; ``scripts/release_check.sh`` does the same."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_roles.py"), part], capture_output=True, text=True
    )
    assert ended.returncode == 0 and f"gensafe-{part}: " in ended.stdout, ended.stderr + ended.stdout
