"""The page of a run in a headless Chromium: it opens, filters, and shows what was captured."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ikelet_hil.capabilities import require
from report.browser import Browser, chromium

pytestmark = pytest.mark.xdist_group("report")  # they share a run and a browser

SHOWN = "[...document.querySelectorAll('tr.test')].filter(r => r.offsetParent).length"
ARROWS = """[...document.querySelectorAll('#detail g.arrow')].map(g =>
    [g.dataset.direction, g.dataset.number, g.classList[1], g.querySelectorAll('.head').length])"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require("chromium")
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, shown: Path) -> Iterator[Browser]:
    """The page, as opened anew; it said nothing it should not."""
    browser.errors.clear()
    browser.size(1440, 1000)
    browser.medium()
    browser.open(f"{(shown / 'index.html').as_uri()}?{id(object())}")
    yield browser
    assert browser.errors == []


def record(shown: Path, board: str, test: str) -> tuple[str, dict[str, Any]]:
    """(its name in the page's address, its result.json)."""
    for path in shown.glob(f"{board}/*/result.json"):
        found: dict[str, Any] = json.loads(path.read_text())
        if found["test"].endswith(test):
            return f"{board}-{path.parent.name}", found
    raise AssertionError(test)


def test_a_row_a_test_and_a_column_a_board(page: Browser) -> None:
    assert page.evaluate(SHOWN) == 6
    heads = "[...document.querySelectorAll('#matrix thead th')].map(th => th.textContent)"
    assert page.evaluate(heads) == ["test", "unix", "other"]
    assert page.evaluate("document.querySelectorAll('.cell').length") == 12
    assert page.evaluate("document.querySelector('.verdict').textContent") == "failed"


def test_search_and_outcomes_filter(page: Browser) -> None:
    page.press("/")
    for key in "disturbed":
        page.press(key)
    assert page.evaluate(SHOWN) == 1
    assert page.evaluate("document.getElementById('shown').textContent") == "1 of 6 tests"
    page.evaluate("search.value = 'nothing like it'; filter()")
    assert page.evaluate(SHOWN) == 0
    assert page.evaluate("document.getElementById('nothing').hidden") is False
    page.evaluate("search.value = ''; filter()")
    page.evaluate("document.querySelector('.chip[data-outcome=recovered]').click()")
    assert page.evaluate(SHOWN) == 1
    page.evaluate("document.querySelector('.chip[data-outcome=failed]').click()")
    assert page.evaluate(SHOWN) == 3


def test_keys_alone_do(page: Browser) -> None:
    page.press("ArrowDown")
    page.press("ArrowDown")
    page.press("ArrowRight")
    where = "document.activeElement.ariaLabel"
    assert page.evaluate(where) == "test_plain[responder] on other: failed"
    page.press("Enter")
    assert page.evaluate("document.querySelector('#detail h2').textContent") == (
        "test_plain[responder]"
    )
    assert "here only" in page.evaluate("document.querySelector('#detail .reason').textContent")
    page.press("ArrowUp")
    assert "recovered" in page.evaluate("document.querySelector('#detail .where').textContent")
    page.press("Escape")
    assert page.evaluate("document.getElementById('detail').hidden") is True
    assert page.evaluate(where) == "test_plain[initiator] on other: recovered"


@pytest.mark.parametrize("test", ["test_plain[initiator]", "test_disturbed", "test_that_fails"])
def test_diagrams_match_the_capture(page: Browser, shown: Path, test: str) -> None:
    slug, told = record(shown, "unix", test)
    page.evaluate(f"open({slug!r})")
    passages = told["passages"]
    assert len(passages) >= 6
    assert page.evaluate(ARROWS) == [
        [p["direction"], str(p["number"]).replace("None", "None"), p["fate"], len(p["delivered"])]
        for p in passages
    ]
    labels = "[...document.querySelectorAll('#detail g.arrow .label')].map(t => t.textContent)"
    for label, passage in zip(page.evaluate(labels), passages, strict=True):
        names = " ".join(passage.get("payloads", [])) or "not IKE"
        hidden = " … encrypted" if passage.get("encrypted") else ""
        assert f"{names}{hidden}{passage['bytes']} B" in label
    heights = "[...document.querySelectorAll('#detail g.arrow')].map(g => g.getCTM().f)"
    tops = page.evaluate(heights)
    assert tops == sorted(set(tops))


def test_every_diagram_is_that_of_its_record(page: Browser, shown: Path) -> None:
    for path in shown.glob("*/*/result.json"):
        told = json.loads(path.read_text())
        slug = f"{path.parent.parent.name}-{path.parent.name}"
        found = f"document.getElementById('t-{slug}').content.querySelectorAll('g.arrow').length"
        assert page.evaluate(found) == len(told["passages"])


def test_what_tests_say_is_no_markup(page: Browser, shown: Path) -> None:
    slug, _ = record(shown, "unix", "test_that_fails")
    page.evaluate(f"open({slug!r})")
    assert "<b>on purpose</b>" in page.evaluate("document.querySelector('.reason').textContent")
    assert page.evaluate("document.querySelector('.reason b')") is None


def test_plots_parity_and_recoveries(page: Browser) -> None:
    assert page.evaluate("document.querySelectorAll('#latency .dot').length") == 4
    assert page.evaluate("document.querySelectorAll('#heap svg').length") == 2
    parity = page.evaluate("document.getElementById('parity').innerText")
    assert "4 of 5 tests" in parity.replace("\n", " ")
    assert "passed, failed" in parity
    assert "power helped" in page.evaluate("document.getElementById('recoveries').innerText")


def test_its_address_opens_a_test(browser: Browser, shown: Path) -> None:
    slug, _ = record(shown, "unix", "test_disturbed")
    browser.open(f"{(shown / 'index.html').as_uri()}?linked#{slug}")
    assert browser.evaluate("document.querySelector('#detail h2').textContent") == "test_disturbed"


def test_dark_narrow_and_printed(page: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.medium(scheme="dark")
    dark = page.evaluate(paper)
    assert light != dark
    page.press("t")
    assert page.evaluate(paper) == light
    page.size(390, 800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.medium("print", "dark")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelector('nav').offsetParent") is None
    assert page.pdf().startswith(b"%PDF")


def test_screenshot(page: Browser, shown: Path, request: pytest.FixtureRequest) -> None:
    slug, _ = record(shown, "unix", "test_disturbed")
    page.evaluate(f"open({slug!r})")
    path = request.config.rootpath / "build" / "hil-report.png"
    page.screenshot(path)
    assert 20_000 < path.stat().st_size < 300_000
