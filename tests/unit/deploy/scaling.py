"""Scalers against what they scale: one of them, up to the partitions, by the lag that there is."""

from __future__ import annotations

from collections import Counter

from commands import option, settings_of
from manifests import Manifest, containers, name_of, workers

from stream_app.settings import Settings
from stream_app.streaming.topics import source_topics

MOST = {"ScaledObject": "maxReplicaCount", "HorizontalPodAutoscaler": "maxReplicas"}
SASL = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}


def partitions(manifests: list[Manifest]) -> int:
    """How many the topics get."""
    (made,) = (c for c in containers(manifests) if c.arguments[:2] == ["topics", "create"])
    return int(option(made.arguments, "--partitions"))


def scaler_problems(manifests: list[Manifest]) -> list[str]:
    scalers = [manifest for manifest in manifests if manifest["kind"] in MOST]
    by_name = {name_of(manifest): manifest for manifest in manifests}
    found = []
    scaled = Counter(_target(scaler) for scaler in scalers)
    found += [f"{name} has {count} scalers" for name, count in scaled.items() if count > 1]
    for scaler in scalers:
        target = by_name.get(_target(scaler))
        if target is None:
            found.append(f"{name_of(scaler)}: {_target(scaler)} is not there")
        elif "replicas" in target["spec"]:
            found.append(f"{name_of(target)} has a number of replicas beside a scaler")
        if scaler["spec"][MOST[scaler["kind"]]] != partitions(manifests):
            found.append(f"{name_of(scaler)}: there are {partitions(manifests)} partitions")
        if scaler["kind"] == "ScaledObject":
            (worker,) = workers(manifests)
            settings, _ = settings_of(worker.environment)
            found += _trigger_problems(scaler, settings)
    for worker in workers(manifests):
        replicas = by_name[worker.owner]["spec"].get("replicas", 0)
        if replicas > partitions(manifests):
            found.append(f"{worker.owner}: more workers than partitions")
    return found


def _target(scaler: Manifest) -> str:
    reference = scaler["spec"]["scaleTargetRef"]
    return f"{reference['kind']}/{reference['name']}"


def _trigger_problems(scaler: Manifest, settings: Settings) -> list[str]:
    """Triggers that look at other topics, another group or another Kafka than the workers."""
    triggers = [trigger["metadata"] for trigger in scaler["spec"]["triggers"]]
    found = []
    if {trigger["topic"] for trigger in triggers} != set(source_topics(settings)):
        found.append(f"{name_of(scaler)}: workers consume {', '.join(source_topics(settings))}")
    expected = {
        "consumerGroup": settings.app_id,
        "bootstrapServers": settings.bootstrap_servers,
        "sasl": SASL.get(settings.sasl_mechanism, "none"),
        "tls": "enable" if settings.security_protocol in ("SSL", "SASL_SSL") else "disable",
        "allowIdleConsumers": "false",
    }
    for trigger in triggers:
        found += [
            f"{name_of(scaler)}: {key} is {trigger.get(key)}, the workers have {value}"
            for key, value in expected.items()
            if trigger.get(key) != value
        ]
    return found
