"""`evaluate`: the measures by hand, the files that it refuses, the command on the sample handbook."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tool_server.knowledge.evaluate import evaluate
from tool_server.knowledge.measures import BadLine, ndcg, read_cases, recall, reciprocal_rank
from tool_server.knowledge.search import Knowledge

GRADES = {"a": 3, "b": 1}


def test_ndcg_discounts_grades_by_place() -> None:
    """(1 + 3 / log2(4)) by (3 + 1 / log2(3))."""
    assert ndcg(["b", "x", "a"], GRADES, 10) == pytest.approx(2.5 / 3.6309297535714578)
    assert ndcg(["a", "b"], GRADES, 10) == 1
    assert ndcg(["x", "y"], GRADES, 10) == 0


def test_nothing_beyond_the_depth_counts() -> None:
    """At depth 1 the best ranking has the best document alone."""
    assert ndcg(["b", "a"], GRADES, 1) == pytest.approx(1 / 3)
    assert recall(["b", "a"], GRADES, 1) == 0.5
    assert reciprocal_rank(["x", "a"], GRADES, 1) == 0


def test_the_reciprocal_rank_is_that_of_the_first_answer() -> None:
    assert reciprocal_rank(["x", "y", "b", "a"], GRADES, 10) == pytest.approx(1 / 3)


def files(folder: Path, queries: str, qrels: str) -> tuple[Path, Path]:
    (folder / "queries.tsv").write_text(queries, encoding="utf-8")
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return folder / "queries.tsv", folder / "qrels.tsv"


def test_the_tag_may_be_left_out_and_a_grade_of_zero_is_no_answer(tmp_path: Path) -> None:
    cases, unjudged = read_cases(*files(tmp_path, "1\t年假\n2\ttag\t密码\n", "1\td\t2\n2\td\t0\n"))
    assert [(case.name, case.text, case.grades) for case in cases] == [("1", "年假", {"d": 2})]
    assert unjudged == ["2"]


@pytest.mark.parametrize(
    ("queries", "qrels", "named"),
    [
        ("1\t年假\nnothing\n", "1\td\t1\n", "queries.tsv, line 2"),
        ("1\t \n", "1\td\t1\n", "queries.tsv, line 1"),
        ("1\t年假\n", "\n1\td\tgood\n", "qrels.tsv, line 2"),
        ("1\t年假\n", "1 d 1\n", "qrels.tsv, line 1"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(
    tmp_path: Path, queries: str, qrels: str, named: str
) -> None:
    with pytest.raises(BadLine, match=named):
        read_cases(*files(tmp_path, queries, qrels))


def run(
    handbook: Knowledge, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[int, str]:
    monkeypatch.setenv("SHENQIAO_DATA_DIR", str(handbook.settings.data_dir))
    monkeypatch.setenv("SHENQIAO_RUN_DIR", str(handbook.settings.run_dir))
    monkeypatch.setenv("SHENQIAO_MODEL_ENABLED", "false")
    queries, qrels = files(
        folder, "1\t\t年假有几天？\n2\t\tHow long is the lunch break?\n", "1\t员工手册.md\t1\n"
    )
    arguments = ["--base", "handbook", "--queries", str(queries), "--qrels", str(qrels), *options]
    result = CliRunner().invoke(evaluate, arguments)
    return result.exit_code, result.output


@pytest.mark.embedded
def test_the_command_prints_its_measures_and_who_was_not_judged(
    handbook: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = run(handbook, tmp_path, monkeypatch, "--top-k", "1", "--top-k", "100")
    assert code == 0
    for line in ("nDCG@1 1.000", "recall@100 1.000", "MRR@1 1.000", "found 100.0% of 1 questions"):
        assert line in output
    assert "without a judgement: 2" in output


@pytest.mark.embedded
def test_the_command_prints_json(
    handbook: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, output = run(handbook, tmp_path, monkeypatch, "--json")
    figures = json.loads(output)
    assert (figures["ndcg"], figures["unjudged"]) == ({"10": 1.0}, ["2"])
    assert figures["p50_ms"] <= figures["p99_ms"]


@pytest.mark.embedded
def test_an_unknown_base_is_a_sentence(
    handbook: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = run(handbook, tmp_path, monkeypatch, "--base", "nowhere")
    assert code == 1
    assert "There is no knowledge base 'nowhere'" in output
