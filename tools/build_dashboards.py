"""Write deploy/grafana/dashboards, or check that the files there are what would be written.

python tools/build_dashboards.py            # needs grafana-foundation-sdk, of the extra dev
python tools/build_dashboards.py --check
"""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards import freshness, quality, workers

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "dashboards"
DASHBOARDS = {
    "freshness-and-flow": freshness.dashboard,
    "recommendation-quality": quality.dashboard,
    "workers-and-kafka": workers.dashboard,
}


def main() -> None:
    made = {f"{uid}.json": make(f"stream-app-{uid}") for uid, make in DASHBOARDS.items()}
    if sys.argv[1:] == ["--check"]:
        there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
        if wrong := sorted(n for n in made.keys() | there.keys() if made.get(n) != there.get(n)):
            sys.exit(f"not as built: {', '.join(wrong)}; run: python tools/build_dashboards.py")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
