"""The playground's own routes of the stand-in: what a real Dify shows in its log pages, and switches for tests."""

from flask import Blueprint, Response, jsonify, request

from playground.dify.runs import Runs


def control_blueprint(runs: Runs) -> Blueprint:
    """`/playground/…`: what a real Dify shows in its log pages, and a switch for slow runs."""
    routes = Blueprint("control", __name__, url_prefix="/playground")

    @routes.get("/runs")
    def newest() -> Response:
        return jsonify(runs=runs.newest())

    @routes.post("/slow")
    def slow() -> Response:
        body = request.get_json()
        runs.make_slow(float(body["seconds"]), int(body["runs"]))
        return jsonify(ok=True)

    @routes.post("/reset")
    def reset() -> Response:
        runs.forget()
        return jsonify(ok=True)

    return routes
