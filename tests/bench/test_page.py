"""The pages say what the results say, and what was not run is not measured."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from scripts.bench import gpu, page, results, roof, sizing

MACHINE = {"date": "2026-01-01", "processor": "a processor", "memory": "8 GiB", "system": "Linux"}


def test_the_pages_are_the_ones_made_from_the_results() -> None:
    assert (page.DOCS / "performance.md").read_text() == page.performance(), "run `make docs`"
    assert (page.DOCS / "sizing.md").read_text() == sizing.page(results.read("gpu")), (
        "run `make docs`"
    )


def test_what_was_not_run_is_not_measured(tmp_path: Path) -> None:
    text = page.performance(tmp_path)
    assert text.count("Not measured.") == text.count("\n## ") == 6


def test_ratios_come_from_the_same_number_of_streams(tmp_path: Path) -> None:
    rows = [_row("ours", 16, 300.0), _row("ours", 1, 10.0), _row("transformers serve", 16, 150.0)]
    body = {"rounds": 3, "versions": {}, "absent": {"other": "no compiler"}, "rows": rows}
    _write(tmp_path, "compare", body)
    text = page.performance(tmp_path)
    assert "| 16 | transformers serve | 2.00 × | 1.00 × | 1.00 × |" in text
    assert "other: not measured (no compiler)." in text
    assert "a trial" not in text.lower()


def test_fewer_than_three_rounds_are_called_a_trial(tmp_path: Path) -> None:
    body = {"rounds": 1, "versions": {}, "absent": {}, "rows": [_row("ours", 1, 10.0)]}
    _write(tmp_path, "compare", body)
    assert "A trial of 1 round(s), not a measurement." in page.performance(tmp_path)


@pytest.mark.parametrize(
    ("card", "kind", "streams", "published"),
    [
        ("H200", "bf16", 1, 338),
        ("H200", "bf16", 64, 17_200),
        ("H200", "nf4", 32, 23_300),
        ("H200", "bf16", 256, 42_600),
        ("H100", "bf16", 128, 20_000),
        ("A100-80", "nf4", 128, 15_400),
    ],
)
def test_the_decode_roof_is_that_of_the_table(
    card: str, kind: str, streams: int, published: int
) -> None:
    chosen = next(one for one in roof.CARDS if one.name == card)
    assert roof.decode_roof(chosen, roof.SEVEN, kind, streams, 1000) == pytest.approx(
        published, rel=0.005
    )


def test_a_card_is_known_by_its_drivers_name() -> None:
    known = roof.card_of("NVIDIA A100-SXM4-80GB")
    assert known is not None
    assert known.name == "A100-80"
    assert roof.card_of("Something else") is None


def test_a_card_too_small_for_the_weights_holds_no_answer() -> None:
    small = roof.CARDS[0]
    assert roof.users(small, roof.MODELS[5], "bf16", 2000) == 0
    assert roof.users(small, roof.SEVEN, "nf4", 2000) > roof.users(small, roof.SEVEN, "bf16", 2000)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_nothing_is_measured(tmp_path: Path) -> None:
    run = CliRunner().invoke(gpu.main, ["--out", str(tmp_path)])
    assert run.exit_code == 0
    assert "not measured" in run.output
    assert list(tmp_path.iterdir()) == []


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (results.percentile(values, 50), results.percentile(values, 99)) == (50.0, 99.0)
    assert results.percentile([3.0], 99) == 3.0


def _row(contender: str, streams: int, tokens_per_s: float) -> dict[str, object]:
    return {
        "shape": "6.5M",
        "contender": contender,
        "streams": streams,
        "tokens_per_s": tokens_per_s,
        "first_token_p50_s": 0.1,
        "first_token_p99_s": 0.2,
        "cpu_ms_per_token": 2.0,
    }


def _write(folder: Path, name: str, body: dict[str, object]) -> None:
    whole = {"command": "a command", "machine": MACHINE, **body}
    (folder / f"{name}.json").write_text(json.dumps(whole))
