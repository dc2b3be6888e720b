"""No code of this package unpickles, evaluates, or runs what somebody else has written."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path for folder in ("bench", "methods", "metrics") for path in (ROOT / folder).rglob("*.py")
]
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
    "dill.load",
    "yaml.load",
    "yaml.unsafe_load",
    "pandas.read_pickle",
    "pd.read_pickle",
    "torch.jit.load",
    "torch.hub.load",
    "tempfile.mktemp",
    "mktemp",
}
UNPICKLING = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml"}
HARMLESS = {("pickle", "UnpicklingError")}


def problems(source: str) -> Iterator[str]:
    """What a module does that it must not, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from (f"line {node.lineno}: {words}" for words in _of_call(node))
        if isinstance(node, ast.ImportFrom) and node.module in UNPICKLING:
            names = {(node.module, alias.name) for alias in node.names}
            if names - HARMLESS:
                yield f"line {node.lineno}: import of {node.module}"


def _of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    owner, _, method = name.rpartition(".")
    if name in FORBIDDEN:
        yield name
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if given.get("allow_pickle", "False") != "False":
        yield "allow_pickle"
    if given.get("shell", "False") != "False":
        yield "shell"
    if given.get("trust_remote_code", "False") != "False":
        yield "trust_remote_code"
    chosen_by_file = owner.startswith("Auto") or owner.islower()
    if method == "from_pretrained" and chosen_by_file and "trust_remote_code" not in given:
        yield f"{name} asks the user whether to run the code of a folder"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_runs_nothing_that_it_reads(path: Path) -> None:
    assert list(problems(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "hostile",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "import pickle\npickle.load(file)",
        "from pickle import load",
        "subprocess.run(words, shell=True)",
        "AutoModel.from_pretrained(folder)",
        "AutoModel.from_pretrained(folder, trust_remote_code=True)",
        "eval(text)",
        "yaml.load(text)",
    ],
)
def test_this_would_be_seen(hostile: str) -> None:
    assert list(problems(hostile))
