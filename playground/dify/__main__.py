"""The stand-in's process: `python -m playground.dify --config FILE`."""

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from playground.dify.packages import Packages
from playground.dify.plugin import PluginError
from playground.dify.routes import control_blueprint, endpoint_blueprint
from playground.dify.runs import Runs
from playground.dify.service_api import blueprint
from playground.dify.store import Store
from playground.dify.workflow import Workflow, WorkflowError
from playground.processes import free_ports

ROOT = Path(__file__).resolve().parents[2]
VALIDATION_S = 30.0


class Handler(WSGIRequestHandler):
    """Connections stay open, and a small packet goes out at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, *_: object, **__: object) -> None:
        """No line per request."""


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path, exists=True), required=True)
def main(path: Path) -> None:
    """Serve until SIGTERM."""
    config = json.loads(path.read_text())
    packages = Packages(
        Path(config.get("tools_root", ROOT)),
        Path(config.get("model_root", ROOT / "dify_plugin" / "model_provider")),
        knowledge=config["knowledge"],
        model=config["model"],
        logs=path.parent,
    )
    try:
        app = create_app(config, packages)
        validate(packages)
        serve(app, config)
    except (PluginError, WorkflowError) as error:
        sys.exit(f"Dify's stand-in: {error}")
    finally:
        packages.stop()


def create_app(config: dict[str, Any], packages: Packages) -> Flask:
    app = Flask("playground.dify", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    store = Store()
    runs = Runs(Workflow(Path(config["workflow"])), packages, store)
    endpoint = dict(config["endpoint"])
    app.register_blueprint(blueprint(runs, store, config["app_key"]))
    app.register_blueprint(endpoint_blueprint(packages, endpoint.pop("hook"), endpoint))
    app.register_blueprint(control_blueprint(runs))
    return app


def validate(packages: Packages) -> None:
    """Save the credentials, as an administrator does; the tool server may still be starting."""
    deadline = time.monotonic() + VALIDATION_S
    while True:
        try:
            packages.validate()
        except PluginError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return


def serve(app: Flask, config: dict[str, Any]) -> None:
    (port,) = free_ports([config["port"]])
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]  # ThreadingMixIn has it
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    hook = config["endpoint"]["hook"]
    print("ready " + json.dumps({"url": url, "endpoint_url": f"{url}/e/{hook}"}), flush=True)  # noqa: T201
    stopped.wait()


if __name__ == "__main__":
    main()
