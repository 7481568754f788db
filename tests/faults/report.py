"""A result as Markdown for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median

from tests.faults.deck import Fault
from tests.faults.run import Result
from tests.faults.verify import counts, examples


def write(result: Result, path: Path, command: str) -> None:
    """Write a report; the name says the format: `.json`, or anything else for Markdown."""
    text = as_json(result, command) if path.suffix == ".json" else markdown(result, command)
    path.write_text(text, encoding="utf-8")


def as_json(result: Result, command: str) -> str:
    """Everything, as one JSON object."""
    plan = result.plan
    whole = {
        "ok": result.ok,
        "command": command,
        "cycles": plan.cycles, "seed": plan.seed, "workers": plan.workers,
        "partitions": plan.partitions, "rate": plan.rate,
        "faults": result.counts, "recovery_s": result.recovery_s,
        "not_recovered": result.not_recovered,
        "exits": [asdict(ended) for ended in result.exits],
        "hangs": [asdict(hang) for hang in result.hangs],
        "starts": result.starts, "load": result.load, "final_lag": result.final_lag,
        "drain_s": result.drain_s, "seconds": result.seconds,
        "audit": asdict(result.audit) | {"suspects": sorted(result.audit.suspects)},
        "verify": result.verify,
    }  # fmt: skip
    return json.dumps(whole, indent=2) + "\n"


def markdown(result: Result, command: str) -> str:
    """Tables of what was done and what came of it."""
    parts = [
        f"`{command}`: " + ("nothing found." if result.ok else "**something was found.**"),
        "\n".join(["| what | |", "|---|---|", *(f"| {a} | {b} |" for a, b in _totals(result))]),
        "\n".join(_fault_table(result)),
        "\n".join(_exit_table(result)),
        *_troubles(result),
    ]
    return "\n\n".join(parts) + "\n"


def _totals(result: Result) -> list[tuple[str, str]]:
    plan, audit = result.plan, result.audit
    share = 100 * audit.repeated_lists / max(1, audit.lists)
    checked = counts(result.verify) if result.verify is not None else {}
    return [
        ("cycles, seed", f"{plan.cycles}, {plan.seed}"),
        ("workers, partitions", f"{plan.workers}, {plan.partitions}"),
        ("time under faults", f"{result.seconds:.0f} s at {plan.rate:.0f} messages/s"),
        (
            "sent",
            f"{audit.sends}: {result.load['event']} events, {result.load['retry']} retries, "
            f"{result.load['invalid']} invalid; of {audit.users} users",
        ),
        *((f"`verify`: {name}", str(value)) for name, value in checked.items()),
        ("ledger: lost / duplicated / misordered / uncovered",
         f"{audit.lost} / {audit.duplicated} / {audit.misordered} / {audit.uncovered}"),
        *(
            (f"ledger: {name}", str(value))
            for name, value in audit.findings().items()
            if name not in ("lost", "duplicated", "misordered", "uncovered")
        ),
        ("hangs undetected", str(len(result.hangs))),
        ("exits without explanation", str(len(result.unexpected))),
        ("starts of workers", str(result.starts)),
        ("lists, repeated", f"{audit.lists}, {share:.2f} %"),
        ("dead letters repeated", str(audit.repeated_dead)),
        ("rows written late by a former owner", str(audit.late_rows)),
        ("changelog records written, left by compaction",
         f"{audit.changelog_written}, {audit.changelog_left}"),
        ("lag at the end, drained in", f"{result.final_lag}, {result.drain_s:.1f} s"),
    ]  # fmt: skip


def _fault_table(result: Result) -> list[str]:
    """Seconds from a fault until all that was sent until its end is committed."""
    lines = ["| fault | times | healed after, s: median | most |", "|---|---|---|---|"]
    known: tuple[Fault, ...] = result.plan.faults
    for fault in known:
        times = result.recovery_s.get(fault.name, [])
        figures = f"{median(times):.1f} | {max(times):.1f}" if times else "- | -"
        lines.append(f"| {fault.name}: {fault.what} | {result.counts[fault.name]} | {figures} |")
    lines.append(f"| all | {result.counts.total()} | | |")
    return lines


def _exit_table(result: Result) -> list[str]:
    """Ends of workers by exit code (a negative one is a signal) and what explains them."""
    numbers = Counter((ended.code, ended.why or "**nothing**") for ended in result.exits)
    lines = ["| exit code | explained by | times |", "|---|---|---|"]
    return lines + [f"| {code} | {why} | {n} |" for (code, why), n in sorted(numbers.items())]


def _troubles(result: Result) -> list[str]:
    parts = [
        f"Exit {ended.code} of {ended.worker} at {ended.at_s:.1f} s:\n\n```\n{ended.log}\n```"
        for ended in result.unexpected
    ]
    parts += [
        f"Hang at {hang.at_s:.1f} s, {hang.what}:\n\n"
        + "\n".join(f"- {name}: `{said}`" for name, said in hang.workers.items())
        for hang in result.hangs
    ]
    if result.not_recovered:
        parts.append("Not healed within a minute: " + "; ".join(result.not_recovered))
    found = [*result.audit.examples, *(examples(result.verify) if result.verify else ())]
    if found:
        parts.append("\n".join(f"- {example}" for example in found))
    return parts
