"""The report in a real browser: Debian's chromium, driven by selenium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segdata.cli import cli

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture(scope="module", params=["camvid", "coco", "pets"])
def page(
    request: pytest.FixtureRequest,
    real_build: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    out = real_build(request.param)
    result = CliRunner().invoke(cli, ["stats", str(out), f"--html={path}"])
    assert result.exception is None, result.exception
    return path


def opened(browser: Any, page: Path, width: int, scheme: str) -> None:
    metrics = {
        "width": width,
        "height": 900,
        "deviceScaleFactor": 1,
        "mobile": width < 500,
    }
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(page.as_uri())


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_says_nothing_on_the_console(
    browser: Any, page: Path, width: int, scheme: str
) -> None:
    opened(browser, page, width, scheme)
    assert browser.get_log("browser") == []
    wide, visible = browser.execute_script(
        "const page = document.documentElement;"
        "return [page.scrollWidth, page.clientWidth]"
    )
    assert wide <= visible <= width
    broken = "return [...document.images].filter(i => !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    assert contrast(browser, "body", "body") >= 7
    for selector in (".lead", "nav a", "dt", "caption", "figcaption", "summary"):
        assert contrast(browser, selector, ".card") >= 4.5, selector


@pytest.mark.parametrize("width", [320, 390, 640])
def test_tables_need_no_scrolling_on_a_phone(
    browser: Any, page: Path, width: int
) -> None:
    opened(browser, page, width, "light")
    tables, cells, visible = browser.execute_script(
        """
        const all = selector => [...document.querySelectorAll(selector)];
        const shown = all(".scroll :is(th, td)").filter(cell => cell.offsetParent);
        return [all(".scroll").map(one => [one.scrollWidth, one.clientWidth]),
          shown.map(one => [one.scrollWidth, one.clientWidth]),
          shown.map(one => one.getBoundingClientRect().right)];
        """
    )
    assert tables
    assert [pair for pair in tables + cells if pair[0] > pair[1]] == []
    assert max(visible) <= width


def test_rows_of_a_phone_tell_their_split_and_line_up(browser: Any, page: Path) -> None:
    opened(browser, page, 390, "light")
    splits, heads, rights = browser.execute_script(
        """
        const row = document.querySelector(".scroll tbody tr");
        const right = cell => Math.round(cell.getBoundingClientRect().right);
        const heads = [...document.querySelectorAll(
          ".scroll:first-of-type thead tr:last-child th")];
        const cells = [...row.querySelectorAll("td")];
        return [cells.filter(c => c.dataset.split).map(
            c => getComputedStyle(c, "::before").content),
          heads.filter(head => head.offsetParent).map(right), cells.map(right)];
        """
    )
    names = browser.execute_script(
        "return [...document.querySelectorAll('.card h3')].map(h => h.textContent)"
    )
    assert splits == [f'"{name}"' for name in names]
    assert rights == heads[:4] * len(names)


def contrast(browser: Any, text: str, ground: str) -> float:
    """WCAG's contrast ratio of a text's colour and a background."""
    colors = browser.execute_script(
        "return [getComputedStyle(document.querySelector(arguments[0])).color,"
        "getComputedStyle(document.querySelector(arguments[1])).backgroundColor]",
        text,
        ground,
    )
    lights = sorted(map(luminance, colors))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(color: str) -> float:
    parts = color.partition("(")[2].rstrip(")").split(",")[:3]
    channels = [int(part) / 255 for part in parts]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_filter_shows_only_samples_of_the_class(browser: Any, page: Path) -> None:
    opened(browser, page, 1440, "light")
    shown, expected, status = browser.execute_script(
        """
        const select = document.getElementById("class-filter");
        select.value = select.options[1].value;
        select.dispatchEvent(new Event("change"));
        const items = [...document.querySelectorAll(".samples > li")];
        return [items.filter(i => i.offsetParent).length,
          items.filter(
            i => JSON.parse(i.dataset.classes).includes(select.value)).length,
          document.getElementById("shown").textContent];
        """
    )
    assert shown == expected > 0
    assert status.startswith(f"{shown} of ")


def test_keyboard_reaches_content_links_tables_and_filter(
    browser: Any, page: Path
) -> None:
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    opened(browser, page, 1440, "light")
    seen = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(keys.TAB)
        active = browser.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("class"))
        outline = active.value_of_css_property("outline-width")
        assert outline not in ("0px", ""), active.tag_name
        if "class-filter" in seen:
            break
    assert seen[0] == "skip"
    assert "scroll" in seen
    assert seen[-1] == "class-filter"
