"""The dashboards of Grafana: as the builder makes them, and as Grafana and a reader need them.

Grafana itself is not here: that it shows them is not tested. That every expression gives data is,
in tests/integration/test_prometheus.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from typing import Any

import kubernetes_validate
import pytest
import yaml
from expressions import DASHBOARDS, ROOT, dashboards, panels
from grafana_foundation_sdk.models import units

from tests.programs import program

KNOWN_UNITS = {value.__args__[0] for value in vars(units)["__annotations__"].values()}
TYPES = {"stat", "timeseries", "heatmap"}
ALL = dashboards()


@pytest.fixture(params=sorted(ALL))
def dashboard(request: pytest.FixtureRequest) -> Any:
    return ALL[request.param]


def test_the_files_are_what_the_builder_makes() -> None:
    check = [sys.executable, str(ROOT / "tools" / "build_dashboards.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(ALL) == 3


def test_ids_are_unique() -> None:
    assert len({one["uid"] for one in ALL.values()}) == len(ALL)
    for name, one in ALL.items():
        assert len(one["uid"]) <= 40, f"{name}: Grafana takes no longer uid"
        ids = [panel["id"] for panel in one["panels"]]
        assert len(set(ids)) == len(ids), name


def test_panels_fill_the_grid_and_cover_nothing(dashboard: Any) -> None:
    cells = [panel["gridPos"] for panel in dashboard["panels"]]
    for cell in cells:
        assert 0 <= cell["x"] < cell["x"] + cell["w"] <= 24, cell
    for one, other in combinations(cells, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert sum(cell["w"] * cell["h"] for cell in cells) == 24 * max(
        cell["y"] + cell["h"] for cell in cells
    )


def test_panels_say_what_they_are_and_what_to_do(dashboard: Any) -> None:
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels(dashboard):
        assert panel["type"] in TYPES
        assert panel["fieldConfig"]["defaults"]["unit"] in KNOWN_UNITS, panel["title"]
        assert len(panel["title"]) <= 50, panel["title"]
        assert 60 <= len(panel["description"]) <= 400, panel["title"]
        assert panel["description"].endswith("."), panel["title"]


def test_every_query_has_a_name_and_asks_the_chosen_prometheus(dashboard: Any) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(dashboard):
        ids = [target["refId"] for target in panel["targets"]]
        assert ids
        assert len(set(ids)) == len(ids), panel["title"]
        for query in (panel, *panel["targets"]):
            assert query["datasource"] == chosen, panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"], panel["title"]


def test_variables_are_there_and_used(dashboard: Any) -> None:
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    text = str(dashboard["panels"])
    used = set(re.findall(r"\$\{?([a-z]\w*)", text))
    assert used == variables.keys()
    assert variables["datasource"]["current"]["value"] == "prometheus"


def test_compose_provisions_them_and_begins_with_the_first() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    grafana = services["grafana"]
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    provider = yaml.safe_load((folder / "dashboards" / "stream-app.yml").read_text("utf-8"))
    assert provider["apiVersion"] == 1
    (one,) = provider["providers"]
    assert one["type"] == "file"
    inside = one["options"]["path"]
    assert f"./deploy/grafana/dashboards:{inside}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.rpartition("/")[0] == inside
    assert (DASHBOARDS / home.rpartition("/")[2]).is_file()
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    for one in ALL.values():
        current = one["templating"]["list"][0]["current"]
        assert (current["text"], current["value"]) == (source["name"], source["uid"])
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "true"


def test_kubernetes_gets_them_as_they_are() -> None:
    kustomize = [program("kustomize"), "build", str(ROOT / "deploy" / "grafana")]
    text = subprocess.run(kustomize, capture_output=True, text=True, check=True).stdout
    made = yaml.safe_load(text)
    kubernetes_validate.validate(made, "1.31", strict=True)
    assert made["data"] == {path.name: path.read_text("utf-8") for path in DASHBOARDS.iterdir()}
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    # kubectl apply keeps what it was given in an annotation, and annotations have a limit.
    assert len(text) < 256 * 1024
