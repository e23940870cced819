"""Analysis pieces that the build for tests lacks and that API keys need, compiled with the JDK's javac; for `node`."""

import json
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
COMPILE_S = 120.0
API = "org.elasticsearch.plugin.analysis."
COMPONENTS = {
    f"{API}TokenFilterFactory": {
        "pattern_capture": "pieces.PatternCapture",
        "unique": "pieces.Unique",
    },
    f"{API}TokenizerFactory": {"uax_url_email": "pieces.UaxUrlEmail"},
    f"{API}AnalyzerFactory": {"cjk": "pieces.Cjk"},
}
DESCRIPTOR = """\
name=pieces
version=1
description=Analysis pieces that API keys need
elasticsearch.version={version}
java.version=17
"""


def install(home: Path, java: Path, version: str) -> None:
    """Put the plugin into a node's folder."""
    folder = home / "plugins" / "pieces"
    classes = folder / "classes"
    classes.mkdir(parents=True)
    sources = sorted(str(source) for source in SOURCES.glob("*.java"))
    compile_ = [java / "bin" / "javac", "-proc:none", "-cp", f"{home}/lib/*", "-d", classes]
    _run([*map(str, compile_), *sources])
    _run([str(java / "bin" / "jar"), "cf", str(folder / "pieces.jar"), "-C", str(classes), "."])
    _run(["rm", "-r", str(classes)])
    (folder / "stable-plugin-descriptor.properties").write_text(DESCRIPTOR.format(version=version))
    (folder / "named_components.json").write_text(json.dumps(COMPONENTS))


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_S)
