"""The plugin's part that keeps evidence, in runs of pytest of their own."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ikelet_hil import page
from ikelet_hil.reporting import test_of as plain_id
from report.conftest import RunOf, run_pytest

pytestmark = pytest.mark.xdist_group("report")  # they share a run


def outcomes(folder: Path) -> dict[str, str]:
    found = [json.loads(path.read_text()) for path in folder.glob("*/*/result.json")]
    return {record["test"].partition("::")[2]: record["outcome"] for record in found}


def test_a_record_a_test(sample: RunOf) -> None:
    assert sample.folder, sample.output
    assert outcomes(sample.folder) == {
        "test_plain[initiator]": "passed",
        "test_plain[responder]": "passed",
        "test_disturbed": "passed",
        "test_that_fails": "failed",
        "test_expected_to_fail": "xfailed",
        "test_skipped": "skipped",
    }, sample.output
    assert sample.code == 1
    assert (sample.folder / "index.html").as_uri() in sample.output


def test_junit_has_properties(sample: RunOf) -> None:
    cases = ElementTree.parse(sample.junit).findall(".//testcase")
    assert len(cases) == 6
    for case in cases:
        found = {each.get("name"): each.get("value") for each in case.findall(".//property")}
        assert found["board"] == "unix" and found["commit"] and found["evidence"]
        if "skipped" not in str(case.get("name")):
            assert found["rung"] == "process" and found["chip"] == "unix" and found["firmware"]
            assert len(found["image"] or "") == 64


def test_metrics_are_valid_openmetrics(shown: Path) -> None:
    text = (shown / "metrics.txt").read_text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    tests = {tuple(s.labels.values()): s.value for s in families["ikelet_hil_tests"].samples}
    assert tests["unix", "passed"] == 3 and tests["unix", "failed"] == 1
    assert tests["other", "recovered"] == 1 and tests["other", "failed"] == 2
    (counts,) = {
        sample.value
        for sample in families["ikelet_hil_handshake_seconds"].samples
        if sample.name.endswith("_count") and sample.labels["board"] == "unix"
    }
    assert counts == 1  # of each role: the disturbed one is not among them
    recovered = families["ikelet_hil_recoveries"].samples
    assert [(s.labels["rung"], s.labels["helped"], s.value) for s in recovered] == [
        ("power", "yes", 1)
    ]
    assert text.endswith("# EOF\n")


LEAK = """
def test_leaks(board, evidence):
    evidence.timeline.add("serial", "psk=" + evidence.psk())

def test_goes_on(board, evidence):
    evidence.timeline.add("harness", "nothing to see")

def test_prints(board, evidence):
    print(evidence.psk().encode().hex())
"""


def test_a_leaked_key_fails_the_test_and_the_run(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, LEAK)
    assert run.code == 1
    assert run.output.count("SECRET LEAKED") >= 2
    assert "1 error" in run.output or "errors" in run.output
    assert run.folder
    assert outcomes(run.folder)["test_goes_on"] == "passed"
    assert outcomes(run.folder)["test_leaks"] == outcomes(run.folder)["test_prints"] == "failed"


INTERRUPTED = """
def test_one(board):
    pass

def test_two(board):
    raise KeyboardInterrupt
"""


def test_an_interrupted_run_has_its_page(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, INTERRUPTED)
    assert run.code == 2
    assert run.folder
    assert "interrupted" in (run.folder / "index.html").read_text()
    assert outcomes(run.folder)["test_one"] == "passed"


def test_again_from_the_folder(shown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (shown / "index.html").read_text()
    (shown / "index.html").unlink()
    assert page.build(shown).read_text() == before


@pytest.mark.parametrize(
    ("nodeid", "name", "test"),
    [
        ("f.py::test_a[unix]", "unix", "f.py::test_a"),
        ("f.py::test_a[unix-initiator]", "unix", "f.py::test_a[initiator]"),
        ("f.py::test_a[initiator-unix-x]", "unix", "f.py::test_a[initiator-x]"),
        ("f.py::test_a[serial:12-x]", "serial:12", "f.py::test_a[x]"),
    ],
)
def test_ids_are_the_same_on_every_board(nodeid: str, name: str, test: str) -> None:
    assert plain_id(nodeid, name).replace("--", "-") == test
