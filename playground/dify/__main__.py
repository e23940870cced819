"""The stand-in's process: `python -m playground.dify --config FILE`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
from flask import Flask

from playground.dify.api import PING_S
from playground.dify.calls import Callees
from playground.dify.datasets import Datasets
from playground.dify.door import endpoint_blueprint
from playground.dify.models import Models, OtherModel
from playground.dify.packages import Packages
from playground.dify.plugin import PluginError
from playground.dify.routes import control_blueprint
from playground.dify.runs import Runs
from playground.dify.service_api import blueprint
from playground.dify.store import Store
from playground.dify.workflow import Changes, Workflow, WorkflowError
from playground.processes import free_ports
from playground.serving import Server, run_until_stopped

ROOT = Path(__file__).resolve().parents[2]
VALIDATION_S = 30.0


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
    """One app. `changes` are what an administrator changes after the import, `models` those of other providers by
    their full id, `datasets` Dify's own knowledge; see `Changes`, `OtherModel`, `Datasets`.
    """
    app = Flask("playground.dify", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    store = Store()
    workflow = Workflow(Path(config["workflow"]), Changes(**config.get("changes", {})))
    others = {name: OtherModel(**other) for name, other in config.get("models", {}).items()}
    datasets = Datasets(config.get("datasets", {}))
    runs = Runs(workflow, Callees(packages, Models(packages, others), datasets), store)
    endpoint = dict(config["endpoint"])
    ping_s = float(config.get("ping_s", PING_S))
    app.register_blueprint(blueprint(runs, store, config["app_key"], ping_s))
    app.register_blueprint(endpoint_blueprint(packages.tools, endpoint.pop("hook"), endpoint))
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
    url = Server(app, port).url
    run_until_stopped({"url": url, "endpoint_url": f"{url}/e/{config['endpoint']['hook']}"})


if __name__ == "__main__":
    main()
