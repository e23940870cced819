"""The stand-in's process: `python -m playground.wechat --config FILE`."""

import json
from pathlib import Path
from typing import Any

import click
from flask import Flask

from playground.processes import free_ports
from playground.serving import Server, run_until_stopped
from playground.wechat import phone
from playground.wechat.api import Api, App
from playground.wechat.crypto import Secrets
from playground.wechat.deliver import Courier
from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits
from playground.wechat.routes import Platform, api_blueprint, control_blueprint


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
    platform_url = Server(app, ports[0]).url
    phone_url = Server(phone.create_app(platform, config), ports[1]).url
    run_until_stopped({"platform_url": platform_url, "phone_url": phone_url})


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


if __name__ == "__main__":
    main()
