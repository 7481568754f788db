"""The inspector's page in a real browser, on a real worker and a real Kafka."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from schemas import Purchase
from stream_app.demo.session import free_port
from stream_app.settings import Settings
from tests.integration.browser import CONTRAST, Watched, chromium, elsewhere
from tests.integration.conftest import BUNDLE
from tests.integration.inspected import HOSTILE, LIKED, clicks, create, publish
from tests.integration.shop import catalogue, figure
from tests.integration.topics import lists, send, send_raw, wait_for
from tests.integration.worker import WorkerProcess

VIEWS = (
    "#/", "#/users", "#/user/ann", "#/items", "#/item/1", "#/model", "#/control", "#/dead-letters",
)  # fmt: skip
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def place(kafka, tmp_path_factory) -> Iterator[tuple[Settings, WorkerProcess]]:
    """A worker that lets its page write, with something of everything there is to see."""
    settings = Settings(
        bootstrap_servers=kafka.bootstrap,
        app_id="inspected",
        topic_prefix="inspected.",
        bundle=str(BUNDLE),
        metrics_port=free_port(),
        inspector_port=free_port(),
        inspector_writes=True,
        session_timeout_s=6,
    )
    create(settings)
    named = publish(settings)
    worker = WorkerProcess(settings, tmp_path_factory.mktemp("inspected") / "worker.log")
    try:
        worker.wait_until_ready()
        wait_for(lambda: catalogue(worker, "listed") == named, "the titles")
        bought = Purchase(user_id="ann", item_id="296", timestamp_ms=int(time.time() * 1000))
        send(settings, [*clicks("ann", *LIKED[:-1]), *clicks("a/b%?#", "1"), bought])
        send_raw(settings, "inspected.clicks", [(b"bad", b"\xff no message"), (b"bad", b"{}")])
        wait_for(lambda: {"ann", "a/b%?#"} <= {one.user_id for one in lists(settings)}, "lists")
        yield settings, worker
    finally:
        worker.kill()


@pytest.fixture(scope="module")
def browser(place) -> Iterator[BrowserContext]:
    with chromium(reduced_motion="reduce", viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture
def page(place, browser) -> Iterator[Page]:
    """A page that has to stay without errors, and with this worker."""
    settings, _ = place
    base = f"http://127.0.0.1:{settings.inspector_port}/"
    shown = browser.new_page()
    watched = Watched(shown, base)
    shown.goto(base)
    yield shown
    shown.close()
    assert watched.errors == []
    assert watched.elsewhere == []


def show(page: Page, view: str) -> None:
    """Go to a view and wait until it is there."""
    page.evaluate("hash => { location.hash = hash }", view)
    expect(page.locator("main .waiting")).to_have_count(0)
    expect(page.locator("main h1")).not_to_be_empty()


def test_live_figures_move_with_the_events(place, page) -> None:
    settings, _ = place
    moved = page.locator("figcaption")
    expect(page.locator("#connection")).to_have_text("live")
    elsewhere(send, settings, clicks("bob", *LIKED))
    expect(moved).to_contain_text("in the last minute; most came")
    expect(page.locator(".column:not([data-count='0']) i").first).to_be_visible()
    expect(page.locator(".big strong")).to_contain_text(re.compile(r"\d m?s"))
    feed = page.locator(".feed tbody tr", has_text="bob").first
    expect(feed.locator(".titles a")).to_have_count(3)
    feed.get_by_role("link", name="bob").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("User bob")


def test_a_list_stands_beside_the_history_with_reasons_in_two_languages(page) -> None:
    show(page, "#/user/ann")
    rows = page.locator(".list > li")
    expect(rows).to_have_count(10)
    expect(page.locator(".history > li")).to_have_count(5)
    expect(page.locator(".history > li").first).to_contain_text("Pulp Fiction (1994)")
    first = rows.first
    expect(first.locator(".sources")).to_contain_text(re.compile(r"(personal|transitions) \d+ %"))
    expect(first.locator(".because li").first).to_contain_text(re.compile(r"\d+ %"))
    english = first.locator(".reason").inner_text()
    assert re.search(r"[a-z]{3}", english)
    rows.nth(1).hover()
    expect(page.locator(".history .carried").first).to_be_visible()
    page.get_by_label("Reasons").select_option("zh")
    expect(first.locator(".reason")).to_have_text(re.compile(r"[\u4e00-\u9fff]"))
    expect(first.locator(".reason")).to_have_attribute("lang", "zh")
    page.reload()  # the choice is kept
    expect(first.locator(".reason")).to_have_text(re.compile(r"[\u4e00-\u9fff]"))
    page.get_by_label("Reasons").select_option("en")
    expect(first.locator(".reason")).to_have_text(english)


def test_a_purchase_changes_list_and_history_and_says_after_how_long(page) -> None:
    show(page, "#/user/ann")
    second = page.locator(".list > li").nth(1)
    title = second.locator(".title").inner_text()
    second.get_by_role("button", name=f"Buy {title}").click()
    expect(page.locator(".said")).to_have_text(
        re.compile(r"New list after [\d.]+ m?s \(on this page .*\): .*(new|rose|fell|left)")
    )
    expect(page.locator(".history > li").first).to_contain_text(title)
    expect(page.locator(".left")).to_contain_text(title)  # what is bought is not recommended
    expect(page.locator(".list .moved").first).to_be_visible()
    focus = "document.activeElement.closest('.list > li') !== null"
    assert page.evaluate(focus), "the focus stays in the list, where the item has left it"
    page.get_by_label("Any item").fill("toy story")
    page.get_by_role("button", name="Click Toy Story (1995)").last.click()
    expect(page.locator(".history > li").first).to_contain_text("Toy Story (1995)")


def test_lists_are_compared_item_by_item(page) -> None:
    compare = """async ([before, after]) => {
        const { compare, inWords } = await import("./static/diff.js");
        const listed = (ids) => [...ids].map((item_id) => ({ item_id }));
        const found = compare(listed(before), listed(after));
        return [...found.changes.values()].map(({ kind, by }) => `${kind} ${by}`)
          .concat(found.left.map((one) => `left ${one.item_id}`), inWords(found));
    }"""
    assert page.evaluate(compare, ["abcd", "daxb"]) == [
        "rose 3", "fell 1", "came 0", "fell 2", "left c", "1 new, 1 rose, 2 fell, 1 left",
    ]  # fmt: skip
    assert page.evaluate(compare, ["a", "a"])[-1] == "the same items in the same order"


def test_an_item_is_found_and_shows_what_is_like_it(page) -> None:
    show(page, "#/items")
    page.get_by_label("Title or id").fill("pulp fic")
    page.get_by_role("link", name="Pulp Fiction (1994)").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pulp Fiction (1994)")
    for name in ("Like it", "Users went on to"):
        expect(page.get_by_role("region", name=name).locator("tbody tr").first).to_be_visible()


def test_what_operators_said_and_what_went_wrong_is_shown(place, page) -> None:
    show(page, "#/control")
    rule = page.get_by_role("region", name="Rules").locator("tr", has_text="less-film")
    expect(rule).to_contain_text("'Film' in item.categories")
    held = figure(place[1], 'stream_app_rule_lists_total{rule="less-film"}')
    expect(rule.locator("td").nth(4)).to_have_text(f"{held:.0f}" if held > 0 else "–")
    expect(page.get_by_role("region", name="Scenarios")).to_contain_text("kids")
    expect(page.get_by_role("region", name="Experiments").locator("tbody tr")).to_have_count(2)
    show(page, "#/dead-letters")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody")).to_contain_text("decode error")
    expect(page.locator("tbody")).to_contain_text("validation error")
    show(page, "#/model")
    expect(page.get_by_role("region", name="Release")).to_contain_text("movielens-small")


def test_hostile_titles_and_ids_are_text(page) -> None:
    show(page, "#/item/260")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator(".facts")).to_contain_text("<script>1</script>")
    show(page, "#/users")
    page.get_by_label("User id").fill("a/b%?#")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("User a/b%?#")
    expect(page.locator(".history > li")).to_have_count(1)
    for view in VIEWS:
        show(page, view)
        assert page.locator("main :is(img, script, b:has-text('bold'))").count() == 0


def test_nothing_is_wider_than_a_narrow_window(page) -> None:
    page.set_viewport_size(NARROW)
    for view in VIEWS:
        show(page, view)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW["width"], view


def test_the_keyboard_is_enough(page) -> None:
    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent"))

    def tab_to(text: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if focused() == text:
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                assert page.evaluate(outline) == "solid"
                return
        raise AssertionError(f"no way to {text!r} by the Tab key")

    page.keyboard.press("Tab")
    assert focused() == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("#skip").focus()
    tab_to("Users")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator("tbody a.id").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("ann")
    page.keyboard.press("ArrowDown")
    assert focused() == "ann"
    page.keyboard.press("Enter")
    expect(page.locator(".list > li")).to_have_count(10)
    first, second = page.locator(".list .title a").all_inner_texts()[:2]
    tab_to(first)
    page.keyboard.press("ArrowDown")
    assert focused() == second
    tab_to("Click")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("New list after")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_and_controls_have_names(page, theme) -> None:
    page.get_by_label("Theme").select_option(theme)
    for view in VIEWS:
        show(page, view)
        assert page.evaluate(CONTRAST) == [], view
        controls = page.locator("button:visible, a:visible, input:visible, select:visible").all()
        for one in controls[:40]:
            expect(one).to_have_accessible_name(re.compile(r"\S"))
        assert page.locator("table:not(:has(> caption))").count() == 0
        assert page.locator("main").count() == page.locator("h1").count() == 1
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(14, 20, 19)") == (theme == "dark")
    page.get_by_label("Theme").select_option("auto")


def test_each_failure_is_said_plainly(place, browser) -> None:
    settings, _ = place
    page = browser.new_page()
    banner, said = page.locator("#banner"), page.locator(".said")
    try:
        page.goto(f"http://127.0.0.1:{settings.inspector_port}/#/user/ann")
        buy = page.locator(".list > li").first.get_by_role("button", name="Buy")
        page.route("**/events", lambda route: route.fulfill(status=202, json={}))
        buy.click()
        expect(said).to_contain_text("no list has come after 5.0 s", timeout=10_000)
        page.route("**/events", lambda route: route.fulfill(status=403, json={"error": "Closed."}))
        buy.click()
        expect(said).to_have_text("Not sent. Closed.")
        busy = {"status": 503, "headers": {"Retry-After": "0"}}
        page.route("**/items/1", lambda route: route.fulfill(**busy), times=2)
        show(page, "#/item/1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Toy Story (1995)")
        show(page, "#/item/none")
        expect(page.locator("main .failure")).to_contain_text("none")
        page.route("**/live", lambda route: route.abort())
        page.reload()
        expect(banner).to_contain_text("its stream is closed or full")
        page.route("**/overview", lambda route: route.fulfill(status=401, json={}))
        expect(banner).to_contain_text("wants its token")
        page.unroute_all()
        expect(banner).to_be_hidden(timeout=10_000)
    finally:
        page.close()


def test_a_worker_without_writes_has_no_buttons_and_its_page_outlives_it(
    place, browser, tmp_path
) -> None:
    written, _ = place
    settings = replace(
        written, app_id="readonly", metrics_port=free_port(), inspector_port=free_port(),
        inspector_writes=False,
    )  # fmt: skip
    elsewhere(create, settings)
    base = f"http://127.0.0.1:{settings.inspector_port}/"
    worker = WorkerProcess(settings, tmp_path / "first.log").wait_until_ready()
    page = browser.new_page()
    try:
        page.goto(f"{base}#/user/nobody")
        expect(page.locator("main .failure")).to_contain_text("nobody")
        show(page, "#/user/ann")
        expect(page.locator(".list > li")).to_have_count(10)
        expect(page.locator("#writes-off")).to_contain_text("inspector_writes")
        assert page.locator("main").get_by_role("button").count() == 0
        worker.kill()
        expect(page.locator("#banner")).to_contain_text("connects again by itself")
        expect(page.locator(".list > li")).to_have_count(10)  # what was seen is still there
        worker = WorkerProcess(settings, tmp_path / "second.log").wait_until_ready()
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#connection")).to_have_text("live")
    finally:
        page.close()
        worker.kill()
