"""What TensorRT's Python bindings have, and what our code uses of them.

`tensorrt_api.txt` holds the names and signatures of three versions, read from NVIDIA's own
bindings. They import without a GPU and without TensorRT, on three empty libraries that a C compiler
makes. What the code uses is read from its syntax tree, so the list cannot go stale. After a change:

    python -m tests.runtimes.trt_api > tests/runtimes/tensorrt_api.txt
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIST = Path(__file__).with_name("tensorrt_api.txt")
WHEELS = {
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.16": "tensorrt-cu13-bindings==10.16.*",
    "11.4": "tensorrt-cu13-bindings==11.4.*",
}
SOURCES = [
    path
    for folder in ("seg", "export", "apps")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if re.search(r"^\s*import tensorrt as trt$", path.read_text(), re.MULTILINE)
]
FACTORIES = (
    "InferBuilder",
    "InferRefitter",
    "InferRuntime",
    "NvOnnxParser",
    "NvOnnxParserRefitter",
)
SYMBOLS = (
    *(f"create{name}_INTERNAL" for name in FACTORIES),
    *("getBuilderPluginRegistry", "getPluginRegistry"),
    *("getNvOnnxParserVersion", "initLibNvInferPlugins"),
)
# Run beside the bindings: name -> signature lines, of everything a public class has.
DUMP = r"""
import inspect, json, re, tensorrt_bindings as trt
def clean(text):
    text = re.sub(r"tensorrt_bindings\.tensorrt\.|typing\.|collections\.abc\.", "", text)
    text = text.replace("SupportsInt", "int").replace("typing_extensions.Buffer", "buffer")
    text = text.replace("nvonnxparser::IParserError", "ParserError")
    return re.sub(r"<\w+\.(\w+): \d+>", r"\1", text)
def signatures(thing):
    if isinstance(thing, property):
        found = re.findall(r"-> .*", thing.fget.__doc__ or "") or ["-> ?"]
        return ["property " + clean(found[0]) + (", can be set" if thing.fset else "")]
    found = re.findall(r"^(?:\d+\. )?\w+(\(self.* -> .*)$", thing.__doc__ or "", re.M)
    return [clean(line) for line in found] or ["a function"]
out = {}
for name, kind in vars(trt).items():
    if not inspect.isclass(kind):
        continue
    members = getattr(kind, "__members__", {})
    out[name] = ["an enum" if members else "a class"]
    out |= {f"{name}.{member}": ["a member"] for member in members}
    for key in dir(kind):
        thing = inspect.getattr_static(kind, key)
        if key == "__init__" or not key.startswith("_"):
            got = members.get(key) or thing
            if callable(got) or isinstance(got, property):
                out.setdefault(f"{name}.{key}", signatures(getattr(kind, key)
                    if callable(got) else got))
            else:
                out.setdefault(f"{name}.{key}", ["a value"])
print(json.dumps(out))
"""
Api = dict[str, list[str]]


def real_api(version: str, folder: Path) -> Api:
    """Fetches the bindings of a version and lists all they have; LookupError where it cannot."""
    if shutil.which("cc") is None:
        raise LookupError("no C compiler for the empty libraries")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += [
        "--disable-pip-version-check",
        "--retries=1",
        "--timeout=15",
        "--dest",
        str(folder),
        WHEELS[version],
    ]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        raise LookupError(f"{WHEELS[version]} cannot be downloaded for this Python")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}() {{ return 0; }}\n" for name in SYMBOLS))
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        library = f"lib{name}.so.{version.split('.')[0]}"
        command = ["cc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{library}", str(source), "-o"]
        subprocess.run([*command, str(folder / library)], check=True)
    found = subprocess.run(
        [sys.executable, "-c", DUMP],
        env=os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    api: Api = json.loads(found.stdout)
    return api


class Uses(ast.NodeVisitor):
    """Follows TensorRT's objects through a file by annotations and by what calls return."""

    def __init__(self, api: Api) -> None:
        self.api, self.kinds, self.used = api, {"trt": ""}, set()
        self.missing: set[str] = set()
        self.returns: dict[str, str | None] = {}

    def visit_Module(self, node: ast.Module) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.FunctionDef):
                self.returns[part.name] = self._annotated(part.returns)
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        self.kinds[node.arg] = self._annotated(node.annotation)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self.kinds[ast.unparse(node.target)] = self._annotated(node.annotation)

    def visit_Assign(self, node: ast.Assign) -> None:
        kind = self._kind(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name | ast.Attribute):
                owned = self._kind(target) if isinstance(target, ast.Attribute) else None
                if owned is None:
                    self.kinds[ast.unparse(target)] = kind
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.kinds = {key: kind for key, kind in self.kinds.items() if not key.startswith("self.")}
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        kept = {key: kind for key, kind in self.kinds.items() if "." in key or key == "trt"}
        self.kinds = kept
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._kind(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._kind(node)
        self.generic_visit(node)

    def _annotated(self, node: ast.expr | None) -> str | None:
        found = re.search(r"\btrt\.(\w+)", ast.unparse(node)) if node else None
        return f"a {found[1]}" if found else None

    def _kind(self, node: ast.expr) -> str | None:
        """Returns "" for the module, "X" for a class, "X.f" for a method, "a X" for an object."""
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in self.kinds:
            return self.kinds[ast.unparse(node)]
        if isinstance(node, ast.Attribute):
            owner = self._kind(node.value)
            if owner is None or (node.attr[:2] == "__" and node.attr != "__init__"):
                return None
            name = f"{owner.removeprefix('a ')}.{node.attr}".removeprefix(".")
            known = {name, name.split(".")[0]}
            (self.used if known <= set(self.api) else self.missing).update(known)
            returned = re.match(r"property -> (\w+)", self.api.get(name, [""])[0])
            return self._object(returned[1]) if returned else name
        if isinstance(node, ast.Call):
            return self._called(node)
        return None

    def _called(self, node: ast.Call) -> str | None:
        if isinstance(node.func, ast.Name):
            return self.returns.get(node.func.id)
        name = self._kind(node.func)
        if not name or name.startswith("a ") or name not in self.api:
            return None
        kind = f"{name}.__init__" if self.api[name] == ["a class"] else name
        self.used.add(kind)
        signatures = self.api[kind]
        given = len(node.args) - (ast.unparse(node.func).endswith("__init__"))
        if not any(fits(line, given, [k.arg or "" for k in node.keywords]) for line in signatures):
            self.missing.add(f"{kind} with {given} arguments: {signatures}")
        if kind != name:
            return f"a {name}"
        returned = re.search(r"-> (\w+)$", signatures[0])
        return self._object(returned[1]) if returned else None

    def _object(self, name: str) -> str | None:
        return f"a {name}" if name in self.api else None


def fits(signature: str, given: int, names: list[str]) -> bool:
    """Tells whether a call with `given` positional and these named arguments matches."""
    inside = re.match(r"\(self: \w+(?:, )?(.*)\) -> ", signature)
    if inside is None:
        return False
    arguments = re.findall(r"(\w+): [^,=]*[^,= ]( = [^,]+)?", inside[1])
    known = [name for name, _ in arguments]
    needed = [name for name, default in arguments[given:] if not default and name not in names]
    return given + len(names) <= len(known) and set(names) <= set(known[given:]) and not needed


def uses(source: str, api: Api) -> Uses:
    """Reads one file's text."""
    found = Uses(api)
    found.visit(ast.parse(source))
    return found


def used(api: Api) -> set[str]:
    """Returns all that our files use and `api` has."""
    return {name for path in SOURCES for name in uses(path.read_text(), api).used}


def lines(apis: dict[str, Api]) -> list[str]:
    """Returns the list: name, signatures, and the versions that have them, in order."""
    rows: dict[tuple[str, str], list[str]] = {}
    for version, api in apis.items():
        for name in used(api):
            rows.setdefault((name, " | ".join(api[name])), []).append(version)
    return [f"{name}\t{what}\t{' '.join(found)}" for (name, what), found in sorted(rows.items())]


def listed() -> dict[str, Api]:
    """Reads the committed list: version -> name -> signatures."""
    apis: dict[str, Api] = {version: {} for version in WHEELS}
    for line in LIST.read_text().splitlines():
        name, what, versions = line.split("\t")
        for version in versions.split():
            apis[version][name] = what.split(" | ")
    return apis


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        folders = {version: Path(place) / version for version in WHEELS}
        for each in folders.values():
            each.mkdir()
        print("\n".join(lines({v: real_api(v, folder) for v, folder in folders.items()})))
