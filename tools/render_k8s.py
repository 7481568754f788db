"""Write k8s/rendered/ from the overlays, or check that it is what they give.

The rendered files are committed: they are what tests validate and what a reviewer sees change, and
neither needs kustomize. Their first line has a digest of everything that they are made from.
Before that, the rules of deploy/prometheus become resources for the Prometheus operator.

    python tools/render_k8s.py            # needs kustomize
    python tools/render_k8s.py --check    # the digests; where kustomize is there, the whole text
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).resolve().parents[1]
K8S = ROOT / "k8s"
RENDERED = K8S / "rendered"
RULES = ROOT / "deploy" / "prometheus" / "rules"
RULE_RESOURCES = K8S / "components" / "monitoring" / "rules.yaml"
INSTALL = "go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"


def rule_resources() -> str:
    """The files of rules, each as a resource."""
    text = "# Made from deploy/prometheus/rules by tools/render_k8s.py.\n"
    for path in sorted(RULES.glob("*.yml")):
        text += (
            "---\n"
            "apiVersion: monitoring.coreos.com/v1\n"
            "kind: PrometheusRule\n"
            "metadata:\n"
            f"  name: stream-app-{path.stem}\n"
            "spec:\n"
        )
        text += indent(path.read_text(encoding="utf-8"), "  ")
    return text


def sources_digest() -> str:
    """SHA-256 over names and contents of all sources."""
    digest = hashlib.sha256()
    for path in sorted(K8S.rglob("*.yaml")):
        if not path.is_relative_to(RENDERED):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{content} {path.relative_to(K8S).as_posix()}\n".encode())
    return digest.hexdigest()


def header() -> str:
    return (
        "# Made from the overlay of this name by tools/render_k8s.py, from sources with sha256\n"
        f"# {sources_digest()}\n"
    )


def build(overlay: Path, kustomize: str) -> str:
    done = subprocess.run([kustomize, "build", overlay], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"kustomize cannot build {overlay.name}: see above")
    return header() + done.stdout


def problems(kustomize: str | None) -> list[str]:
    """What differs between the rendered files and the overlays."""
    overlays = {path.name: path for path in sorted((K8S / "overlays").iterdir())}
    found = [
        f"{path.name} has no overlay"
        for path in RENDERED.iterdir()
        if path.suffix != ".yaml" or path.stem not in overlays
    ]
    if RULE_RESOURCES.read_text(encoding="utf-8") != rule_resources():
        found.append(f"{RULE_RESOURCES.name} is not of the rules in {RULES.relative_to(ROOT)}")
    for name, overlay in overlays.items():
        file = RENDERED / f"{name}.yaml"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if not text.startswith(header()):
            found.append(f"{file.name} is not of the sources as they are")
        elif kustomize is not None and text != build(overlay, kustomize):
            found.append(f"{file.name} is not what kustomize makes of its overlay")
    return found


def main() -> None:
    kustomize = shutil.which("kustomize")
    if sys.argv[1:] == ["--check"]:
        if found := problems(kustomize):
            sys.exit("\n".join([*found, "run: python tools/render_k8s.py"]))
        print("k8s/rendered is of the sources" + (", digests only" if kustomize is None else ""))
        return
    if kustomize is None:
        sys.exit(f"kustomize is not there; with Go: {INSTALL}")
    RULE_RESOURCES.write_text(rule_resources(), encoding="utf-8")
    RENDERED.mkdir(exist_ok=True)
    for overlay in sorted((K8S / "overlays").iterdir()):
        text = build(overlay, kustomize)
        (RENDERED / f"{overlay.name}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
