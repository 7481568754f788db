"""With which code every command ends; docs/exit-codes.md is made from this file."""

from __future__ import annotations

FOUND = 1
"""The command has done its work, and the answer is no."""

ALL = {
    0: "done, and nothing is wrong",
    1: "the reader of its output has gone (a closed pipe); for some also an answer, see below",
    2: "wrong option, argument, setting or file; topics missing or unequal; login, certificate or "
    "request refused by the brokers; not delivered in time. The last line on stderr says which",
    3: "no Kafka broker answers; to `doctor` that is a finding, as missing topics are: 1",
    70: "an error that no rule foresees: a mistake in the program, with a traceback",
    130: "interrupted by Ctrl-C (SIGINT), where that is not the way to end the command",
    143: "SIGTERM, as the first process of a container",
}
"""Codes that every command can end with."""

SOME = {
    "demo": {FOUND: "an event was lost or applied twice, or lists did not come"},
    "doctor": {FOUND: "at least one error or warning"},
    "health": {FOUND: "the worker is not ready (or not live), or does not answer"},
    "replay-decision": {FOUND: "the list comes out otherwise"},
    "schemas check": {FOUND: "a generated file is not current"},
    "status": {FOUND: "not all is well; the first lines say what"},
    "verify": {FOUND: "at least one finding, or something of an erased user is left"},
    "worker": {
        1: "Faust ended with an error of its own, logged before",
        70: "an error that no rule foresees, while a batch was handled",
        71: "the next event of a partition is not the one that must follow",
        75: "the watchdog saw no progress; the last line names the cause",
    },
}
"""Codes of single commands."""

UNTIL_STOPPED = ("broker", "demo --stay", "gateway", "status --watch", "tail", "traffic", "worker")
"""Commands that run until they are stopped: Ctrl-C or SIGTERM is their end, with 0."""


def tables() -> str:
    """All of it as Markdown."""
    lines = ["| code | of every command |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in ALL.items()]
    lines += ["", "| command | code | meaning |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {code} | {meaning} |"
        for name, codes in SOME.items()
        for code, meaning in codes.items()
    ]
    named = ", ".join(f"`{name}`" for name in UNTIL_STOPPED)
    return "\n".join([*lines, "", f"Ctrl-C ends these with 0: {named}."])
