"""The contacts over the API's HTTP routes, and the menu's end; see `org`. Added to the others by `routes`."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from playground.wechat.platform import Platform

type Answer = Callable[[Callable[[], dict[str, Any]]], Response]


def add_calls(routes: Blueprint, platform: Platform, answer: Answer) -> None:
    """agent/get, user/get, department/simplelist and menu/delete; each needs a good token."""
    api, org = platform.api, platform.org

    def with_token(call: Callable[[], dict[str, Any]]) -> Response:
        token = request.args.get("access_token", "")
        return answer(lambda: api.token_error(token) or call())

    @routes.get("/agent/get")
    def agent() -> Response:
        agent_id = request.args.get("agentid", "")
        return with_token(lambda: org.agent(agent_id))

    @routes.get("/user/get")
    def user() -> Response:
        userid = request.args.get("userid", "")
        return with_token(lambda: org.user(userid))

    @routes.get("/department/simplelist")
    def departments() -> Response:
        return with_token(org.departments)

    @routes.get("/menu/delete")
    def delete_menu() -> Response:
        agent_id = request.args.get("agentid", "")
        return with_token(lambda: api.delete_menu(agent_id))
