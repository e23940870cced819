"""The stand-in's process: `python -m playground.wechat --config FILE`."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import click
from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from playground.processes import free_ports
from playground.wechat import phone
from playground.wechat.api import Api, App
from playground.wechat.crypto import Secrets
from playground.wechat.deliver import Courier
from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits
from playground.wechat.routes import Platform, api_blueprint, control_blueprint


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
    platform = build(config)
    app = Flask("playground.wechat", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    app.register_blueprint(api_blueprint(platform))
    app.register_blueprint(control_blueprint(platform))
    ports = free_ports([config["platform_port"], config["phone_port"]])
    servers = [_serve(app, ports[0]), _serve(phone.create_app(platform, config), ports[1])]
    urls = [f"http://127.0.0.1:{server.server_port}" for server in servers]
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    said = {"platform_url": urls[0], "phone_url": urls[1]}
    print("ready " + json.dumps(said), flush=True)  # noqa: T201  (whoever started us reads this line)
    stopped.wait()


def build(config: dict[str, Any]) -> Platform:
    """The platform from its configuration; a limit's name in it takes the place of the table's value."""
    limits = Limits(**{n: config[n] for n in Limits.__dataclass_fields__ if n in config})
    ledger = Ledger()
    app = App(
        config["corp_id"],
        int(config["agent_id"]),
        config["secret"],
        tuple(config.get("visible", ("*",))),
    )
    secrets = Secrets(config["token"], config["encoding_aes_key"], config["corp_id"])
    courier = Courier(secrets, app.corp_id, app.agent_id, limits, ledger, config.get("fresh", True))
    return Platform(Api(app, limits, ledger), courier, ledger)


def _serve(app: Flask, port: int) -> BaseWSGIServer:
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]  # ThreadingMixIn has it
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main()
