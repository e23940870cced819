"""The Service API's routes of a workflow app: run, look up, stop; added by `service_api`."""

from typing import Any

from flask import Blueprint, Response, jsonify

from playground.dify.api import (
    ServiceError,
    body_of_request,
    inputs_of,
    stream,
    user_of,
    wrong_app,
)
from playground.dify.run import Run
from playground.dify.runs import Runs
from playground.dify.uploads import Uploads

TOLD = (
    *("id", "workflow_id", "status", "outputs", "error", "elapsed_time"),
    *("total_tokens", "total_steps", "created_at", "finished_at"),
)


def add_workflow(routes: Blueprint, runs: Runs, uploads: Uploads, ping_s: float) -> None:
    @routes.post("/workflows/run")
    def run_workflow() -> Response:
        body = body_of_request()
        run = _start(runs, uploads, body)
        if body.get("response_mode", "blocking") == "blocking":
            return jsonify(_blocking(runs, run))
        return stream(runs, run, ping_s)

    @routes.get("/workflows/run/<run_id>")
    def look_up(run_id: str) -> Response:
        """Of chatflows, too."""
        run = runs.find(run_id)
        if run is None:
            raise ServiceError(404, "not_found", "Workflow run not found")
        return jsonify(_detail(run))

    @routes.post("/workflows/tasks/<task>/stop")
    def stop_workflow(task: str) -> Response:
        _must_be_workflow(runs)
        runs.stop(task, user_of(body_of_request()))
        return jsonify(result="success")


def _must_be_workflow(runs: Runs) -> None:
    if runs.workflow.mode != "workflow":
        raise wrong_app("not_workflow_app")


def _start(runs: Runs, uploads: Uploads, body: dict[str, Any]) -> Run:
    _must_be_workflow(runs)
    inputs = inputs_of(body, runs.workflow.variables)
    user = user_of(body)
    files = uploads.of_message(user, body.get("files"), runs.workflow.features)
    return runs.add(Run(runs.workflow_id, user, inputs, files=files))


def _blocking(runs: Runs, run: Run) -> dict[str, Any]:
    """A run that failed is an answer too: its status says so."""
    told: dict[str, Any] = {}
    for event in runs.events(run):
        if event["event"] == "workflow_finished":
            told = {name: event["data"][name] for name in TOLD}
    return {"task_id": run.task, "workflow_run_id": run.id, "data": told}


def _detail(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "workflow_id": run.workflow_id,
        "status": run.status,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "error": run.error,
        "total_steps": run.steps,
        "total_tokens": run.tokens,
        "created_at": int(run.started_at),
        "finished_at": int(run.finished_at) if run.finished_at else None,
        "elapsed_time": round(run.total_s, 4),
    }
