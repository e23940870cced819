"""The environment of the servers that we compare with: made once in `.bench/peers`, apart from ours.

It sees our own packages behind its own, so torch and transformers are the same ones for all and not installed twice.
"""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".bench"
# Has no wheel there: pip compiles it, which takes five to fifteen minutes on two cores.
LLAMA = ("llama-cpp-python[server]>=0.3.30,<0.4", "gguf>=0.17,<1")


class PeerError(Exception):
    """A peer cannot be installed here; the text holds the installer's last lines."""


def transformers_serve() -> Path:
    """The Python that runs `transformers serve`. Raises `PeerError`."""
    wanted = [
        re.split(r"\s*;", requirement)[0]
        for requirement in importlib.metadata.requires("transformers") or ()
        if 'extra == "serving"' in requirement
    ]
    ours = ("torch", "accelerate")
    return _install("serve", [name for name in wanted if not name.startswith(ours)])


def llama_server() -> Path:
    """The Python that runs llama-cpp-python's server. Raises `PeerError`."""
    return _install("llama", list(LLAMA))


def _install(name: str, requirements: list[str]) -> Path:
    folder = CACHE / "peers" / name
    python, done = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(requirements)
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"Installing {name} into .bench …", file=sys.stderr)
    _run("venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder))
    _run("pip", "install", "--quiet", "--python", str(python), *requirements)
    site = next(folder.glob("lib/python3*/site-packages"))
    (site / "ours.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    done.write_text(wanted)
    return python


def _run(*arguments: str) -> None:
    own = ROOT / ".uv" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise PeerError("There is no uv; `make install` brings it.")
    run = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise PeerError(run.stderr[-1500:])
