"""`make demo`: starts the stage, plays a conversation that shows the main job, then stays until Ctrl-C."""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import click
from rich.console import Console

from playground.processes import StartError
from playground.script import Failed, play
from playground.stage import ROOT, Plan, Stage

PORTS = (8000, 8010, 8020, 8030)


@click.command()
@click.option(
    "--once", is_flag=True, help="End after the script: 0 only if every step came out as it must."
)
def main(once: bool) -> None:
    """Play the whole product on this machine."""
    console = Console(highlight=False, soft_wrap=True)
    folder = ROOT / ".data" / f"demo-{os.getpid()}"
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _interrupt(stopped))
    try:
        passed = _run(console, folder, stopped, once=once)
    except (KeyboardInterrupt, BrokenPipeError):
        passed = not once
    except StartError as error:
        console.print(f"[red]{error}[/red]")
        passed = False
    if passed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        console.print(f"The logs of this run are in {folder.relative_to(ROOT)}")
    sys.exit(0 if passed else 1)


def _run(console: Console, folder: Path, stopped: threading.Event, *, once: bool) -> bool:
    console.print("Starting WeChat's and Dify's stand-ins and Shenqiao's tool server …")
    with Stage(Plan(folder, PORTS, bot={}), say=console.print) as stage:
        try:
            play(stage, console)
        except Failed as error:
            console.print(f"[red]This step did not come out as it must:[/red] {error}")
            if once:
                return False
        else:
            console.print("[green]Every step came out as it must.[/green]")
        if not once:
            _show_addresses(console, stage)
            stopped.wait()
            console.print("Stopping …")
        return True


def _show_addresses(console: Console, stage: Stage) -> None:
    port = stage.phone_url.rstrip("/").rpartition(":")[2]
    console.print()
    console.print(f"The phone: [bold]{stage.phone_url}[/bold]  (write to the assistant yourself)")
    console.print(f"Dify's stand-in: {stage.dify_url.removesuffix('/v1')}/playground/runs")
    console.print(f"The tool server: {stage.server_url}/health/ready")
    if not os.environ.get("DISPLAY") and sys.platform == "linux":
        console.print(
            f"No display here? From your computer: ssh -L {port}:127.0.0.1:{port} <this machine>"
        )
    console.print("Ctrl-C ends everything.")


def _interrupt(stopped: threading.Event) -> None:
    if stopped.is_set():
        return
    stopped.set()
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
