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
from playground.wechat.bot.bot import Bot
from playground.wechat.bot.routes import active_blueprint, bot_blueprint
from playground.wechat.bot_socket.bot import BotSocket
from playground.wechat.bot_socket.control import socket_blueprint
from playground.wechat.bot_socket.server import SocketServer
from playground.wechat.cards import Cards
from playground.wechat.config import Config, read_config
from playground.wechat.console import console_blueprint
from playground.wechat.contents import Contents
from playground.wechat.control import control_blueprint
from playground.wechat.crypto import Secrets
from playground.wechat.deliver import Courier
from playground.wechat.gate import Gate
from playground.wechat.kf.control import kf_control
from playground.wechat.kf.routes import kf_blueprint
from playground.wechat.kf.service import open_service
from playground.wechat.ledger import Ledger
from playground.wechat.media import Media
from playground.wechat.media_calls import address_blueprint
from playground.wechat.oauth import OAuth, oauth_blueprint
from playground.wechat.org import Org
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
        "platform_url": serve_platform(platform, ports[0]).url,
        "phone_url": Server(phone.create_app(platform, config), ports[1]).url,
    }
    if platform.bot_socket:
        said["bot_socket_url"] = platform.bot_socket.url
    if config.callback_url:
        check = platform.courier.check_address(config.callback_url)
        said["callback_url"] = "ok" if check.ok else check.reason
    if config.bot and platform.bot and config.bot.callback_url:
        check = platform.bot.courier.check_address(config.bot.callback_url)
        said["bot_callback_url"] = "ok" if check.ok else check.reason
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
    gate = Gate(config.calls, config.trusted_ips)
    courier = Courier(surface, config.limits, ledger, config.fresh)
    media = Media(config.media)
    bot = Bot(config.bot, ledger, media) if config.bot else None
    api = Api(app, config.limits, ledger, Contents(config.limits, media, Cards(config.cards)))
    oauth = OAuth(config.corp_id, config.agent_id, config.oauth)
    org = Org(app, config.org)
    platform = Platform(surface, api, courier, ledger, media, org, gate, oauth, bot)
    if config.kf is not None:
        platform.kf = open_service(
            config.kf, config.corp_id, config.limits, ledger, fresh=config.fresh
        )
    if config.bot_socket:
        socket_bot = BotSocket(config.bot_socket, ledger, media)
        platform.bot_socket = SocketServer(socket_bot, config.bot_socket.port)
    return platform


def serve_platform(platform: Platform, port: int = 0) -> Server:
    """The platform on a port; what it gives out addresses of is reached there."""
    server = Server(platform_app(platform), port)
    if platform.bot:
        platform.bot.base_url = server.url
    if platform.bot_socket:
        platform.bot_socket.bot.base_url = server.url
    return server


def platform_app(platform: Platform) -> Flask:
    """The platform's whole HTTP surface."""
    app = Flask("playground.wechat", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    app.register_blueprint(api_blueprint(platform))
    app.register_blueprint(address_blueprint(platform))
    app.register_blueprint(oauth_blueprint(platform.oauth))
    app.register_blueprint(control_blueprint(platform))
    app.register_blueprint(console_blueprint(platform))
    if platform.bot:
        app.register_blueprint(active_blueprint(platform, platform.bot))
        app.register_blueprint(bot_blueprint(platform.bot))
    if platform.kf is not None:
        app.register_blueprint(kf_blueprint(platform, platform.kf))
        app.register_blueprint(kf_control(platform.kf))
    if platform.bot_socket:
        app.register_blueprint(socket_blueprint(platform.bot_socket))
    return app


if __name__ == "__main__":
    main()
