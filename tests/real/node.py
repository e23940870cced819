"""A real Elasticsearch for tests: fetched by Maven, unpacked, started on loopback as a user without rights, and ended.

The build is the one that Elasticsearch's own integration tests run on (`integ-test-zip`): the server without most of
its modules. Used by `conftest`; `python -m tests.real.node [VERSION] [--secured]` starts one by hand.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.processes import free_ports
from tests.real import certificates, plugin

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".real"
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"
VERSION = "8.19.5"
NEWEST = "9.2.0"
# Elasticsearch 8 is tested with the Java that it was built for; 9 refuses one below 21.
JAVA = {"8": (17, 21), "9": (21, 99)}
FETCH_S, START_S, STOP_S, TOOL_S = 300.0, 120.0, 30.0, 60.0
NOBODY = 65534  # Elasticsearch refuses to run as root
PASSWORD = "bootstrap-of-tests"


class Missing(Exception):
    """What the node needs is not on this machine; the sentence says what."""


class Node:
    """One node in a folder of its own. With `secured` it speaks HTTPS and knows users, roles and API keys."""

    def __init__(self, version: str = VERSION, *, secured: bool = False) -> None:
        self.secured = secured
        self._java = java_home(version)
        self._folder = Path(tempfile.mkdtemp(prefix="elasticsearch-"))
        self._home = _unpack(fetch(version), self._folder)
        (self._folder / "tmp").mkdir()
        self._pid_file = self._folder / "pid"
        self.port, transport = free_ports([0, 0])
        self.ca_file = self._folder / "ca.pem"
        self.certificate = self._home / "config" / "node.pem"
        self._configure(transport)
        if secured:
            self._secure(version)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.secured else 'http'}://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """Of an installation that has its index here, apart from all others."""
        return {
            "SHENQIAO_KNOWLEDGE_BACKEND": "elasticsearch",
            "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_URLS": self.url,
            "SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX": f"t{os.urandom(5).hex()}",
        }

    def start(self) -> None:
        """Returns when it answers. Raises `Missing` with the end of its log when it does not."""
        self._pid_file.unlink(missing_ok=True)
        _give(self._folder)
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*_without_rights(), "bin/elasticsearch", "-p", str(self._pid_file)],
                cwd=self._home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise Missing(f"Elasticsearch did not start:\n{self.log()}")
            time.sleep(0.2)

    def kill(self) -> None:
        """As a power cut would: kill -9, nothing is said or flushed."""
        os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()  # the launcher, which ends the server
            self._wait()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        return "\n".join((self._folder / "output").read_text(errors="replace").splitlines()[-20:])

    def call(self, method: str, path: str, body: object = None) -> object:
        """One request as the superuser."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        context = None
        if self.secured:
            request.add_header("Authorization", certificates.basic("elastic", PASSWORD))
            context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)

    def tool(self, *arguments: str, said: str = "") -> None:
        """One of the programs beside the server: its keystore, its users."""
        subprocess.run(
            [*_without_rights(), *arguments],
            cwd=self._home,
            env=self._environment(),
            input=said,
            text=True,
            check=True,
            capture_output=True,
            timeout=TOOL_S,
        )

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            self.call("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
        except (OSError, urllib.error.HTTPError):
            return False
        return True

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "ES_JAVA_HOME": str(self._java),
            "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
            "ES_TMPDIR": str(self._folder / "tmp"),
        }

    def _configure(self, transport: int) -> None:
        lines = [
            "discovery.type: single-node",
            f"http.port: {self.port}",
            f"transport.port: {transport}",
            "network.host: 127.0.0.1",
            "cluster.routing.allocation.disk.threshold_enabled: false",
            f"xpack.security.enabled: {str(self.secured).lower()}",
        ]
        if self.secured:
            lines += [
                "xpack.security.http.ssl.enabled: true",
                "xpack.security.http.ssl.key: node.key",
                "xpack.security.http.ssl.certificate: node.pem",
            ]
        (self._home / "config" / "elasticsearch.yml").write_text("\n".join(lines) + "\n")

    def _secure(self, version: str) -> None:
        certificates.make(self._home / "config", self.ca_file)
        plugin.install(self._home, self._java, version)
        _give(self._folder)
        self.tool("bin/elasticsearch-keystore", "create")
        add = ("bin/elasticsearch-keystore", "add", "-x", "-f", "bootstrap.password")
        self.tool(*add, said=PASSWORD)


def fetch(version: str) -> Path:
    """The zip, from the folder that git does not see; else by Maven. Raises `Missing`."""
    archive = CACHE / f"elasticsearch-{version}.zip"
    if archive.exists():
        return archive
    if shutil.which("mvn") is None:
        raise Missing("Maven is missing, which fetches Elasticsearch.")
    artifact = ARTIFACT.format(version=version)
    draft = CACHE / f"fetch-{os.getpid()}"
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}"]
    try:
        subprocess.run(
            [*command, f"-DoutputDirectory={draft}"],
            check=True,
            capture_output=True,
            timeout=FETCH_S,
        )
        (draft / archive.name).replace(archive)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"Elasticsearch {version} cannot be fetched: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return archive


def java_home(version: str) -> Path:
    """A JDK that this version runs on. Raises `Missing`."""
    lowest, highest = JAVA[version.partition(".")[0]]
    for compiler in sorted(Path("/usr/lib/jvm").glob("*/bin/javac")):
        release = compiler.parents[1] / "release"
        text = release.read_text() if release.exists() else ""
        number = text.partition('JAVA_VERSION="')[2].partition(".")[0].partition('"')[0]
        if number.isdigit() and lowest <= int(number) <= highest:
            return compiler.parents[1].resolve()
    raise Missing(f"Elasticsearch {version} needs a JDK from {lowest} to {highest}.")


@contextmanager
def running(version: str = VERSION, *, secured: bool = False) -> Iterator[Node]:
    """A started node, which is removed at the end. Raises `Missing`."""
    node = Node(version, secured=secured)
    try:
        node.start()
        yield node
    finally:
        node.close()


def _unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    (home,) = folder.glob("elasticsearch-*")
    for program in (home / "bin").iterdir():
        program.chmod(0o755)
    return home


def _give(folder: Path) -> None:
    """Everything below belongs to the user that the node runs as."""
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(folder)], check=True)


def _without_rights() -> list[str]:
    """What runs before the command: another user than root, and an end with the process that started it."""
    end = ["setpriv", "--pdeathsig", "TERM"]
    if os.getuid() != 0:
        return end
    return [*end, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--secured"]
    with running(*given, secured="--secured" in sys.argv) as started:
        print(started.url, started.ca_file, flush=True)  # noqa: T201  (a command)
        signal.pause()
