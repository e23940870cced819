"""The stand-in's process: `python -m playground.wechat --config FILE`."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from flask import Flask
from pydantic import ValidationError

from playground.processes import free_ports
from playground.serving import Server, run_until_stopped
from playground.wechat import phone
from playground.wechat.api import Api, App
from playground.wechat.config import Config, read_config
from playground.wechat.control import control_blueprint
from playground.wechat.crypto import Secrets
from playground.wechat.deliver import Courier
from playground.wechat.ledger import Ledger
from playground.wechat.platform import Platform
from playground.wechat.routes import api_blueprint
from playground.wechat.wecom_app import WeComApp


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path, exists=True), required=True)
def main(path: Path) -> None:
    """Serve until SIGTERM."""
    try:
        config = read_config(json.loads(path.read_text()))
    except (ValueError, ValidationError) as error:
        raise click.ClickException(f"{path.name}: {error}") from None
    platform = assemble(config)
    wanted = [config.platform_port, config.phone_port]
    ports = free_ports(wanted)
    for wish, port in zip(wanted, ports, strict=True):
        if wish not in (0, port):
            print(f"Port {wish} is taken; {port} is used.", file=sys.stderr)  # noqa: T201
    said = {
        "platform_url": Server(platform_app(platform), ports[0]).url,
        "phone_url": Server(phone.create_app(platform, config), ports[1]).url,
    }
    if config.callback_url:
        check = platform.courier.check_address(config.callback_url)
        said["callback_url"] = "ok" if check.ok else check.reason
    run_until_stopped(said)


def build(values: dict[str, Any]) -> Platform:
    """The platform from the values of a configuration file; for tests."""
    return assemble(read_config(values))


def assemble(config: Config) -> Platform:
    """The parts of the platform, put together."""
    ledger = Ledger()
    app = App(config.corp_id, config.agent_id, config.secret, config.visible)
    secrets = Secrets(config.token, config.encoding_aes_key, config.corp_id)
    surface = WeComApp(secrets, config.agent_id)
    courier = Courier(surface, config.limits, ledger, config.fresh)
    return Platform(surface, Api(app, config.limits, ledger), courier, ledger)


def platform_app(platform: Platform) -> Flask:
    """The platform's whole HTTP surface."""
    app = Flask("playground.wechat", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    app.register_blueprint(api_blueprint(platform))
    app.register_blueprint(control_blueprint(platform))
    return app


if __name__ == "__main__":
    main()
