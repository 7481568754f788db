"""A report for people: one line per kind, then examples of what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stream_app.verify.report import Kind, Report


def as_text(report: Report) -> str:
    """The report as lines of text."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield from _counts("checked", report.checked)
    for kind in Kind:
        count = report.count(kind)
        yield f"{'FOUND' if count else 'ok':8} {count:12,} {kind.value}"
        for example in report.examples(kind):
            user = f" user {example['user']}" if "user" in example else ""
            times = f" ({example['count']} times)" if "count" in example else ""
            yield f"         {example['place'] or '-'}{user}: {example['detail']}{times}"
    yield from _counts("note", report.notes)
    yield from _counts("unchecked", report.unchecked)
    verdict = "consistent" if report.ok else "NOT consistent"
    settled = "settled" if report.settled else "live"
    yield f"{verdict} ({settled} check, {report.seconds:.1f} s)"


def _counts(heading: str, counts: Mapping[str, int]) -> Iterator[str]:
    for name, count in sorted(counts.items()):
        yield f"{heading:9}{count:12,} {name.replace('_', ' ')}"
