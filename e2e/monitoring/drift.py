#!/usr/bin/env python3
"""drift.py: what the code, the documentation, the rules and the dashboard say of metrics and alerts is the same.

    drift.py                      every metric of the code is in docs/metrics.md and the other way round, with its type; rules and dashboard
                                  ask for no other; every alert has a page in docs/runbooks and a line in its index, and a test
    drift.py rendered < YAML      what `helm template` made of the rules has the page of every alert

Text is read, not compiled: a metric is what is given to a `register(…)` of prometheus_client.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("operator", "engine", "sidecar")
# Types of our own that a registered field may have.
ALIASES = {"PlainCounter": "Gauge", "StatementSeconds": "Histogram"}
TYPES = ("Counter", "Gauge", "Histogram")
# Sections that every page of an alert has, in this order.
SECTIONS = ("What it means", "What users notice", "How to look", "What to do", "When to escalate")

REGISTER = re.compile(r'(\w+)\s*\.register\(\s*"(\w+)",\s*"[^"]*",\s*([\w.]+?)(?:\.clone\(\))?,?\s*\)')
REGISTER_ANY = re.compile(r"\.register\(\s*(?:\"|name\b)")
LEVELS = re.compile(r"let levels = \[(.*?)\n    \];", re.S)
NAME = re.compile(r"\b(?:springtide|starrocks|kubelet)_[a-z0-9_]+\b")


def metrics_of(text):
    """The metrics that one file of Rust registers, as name -> type. Counters have the suffix that OpenMetrics gives them."""
    own = re.search(r'Registry::with_prefix\("(\w+)"\)', text)
    prefixes = dict(re.findall(r'let (\w+) = registry\.sub_registry_with_prefix\("(\w+)"\)', text))
    found, read = {}, 0
    for receiver, name, value in REGISTER.findall(text):
        prefix = prefixes.get(receiver) or (own.group(1) if own else "")
        kind = type_of(value.removesuffix(".0").rsplit(".", 1)[-1], text)
        add(found, f"{prefix}_{name}" if prefix else name, kind)
        read += 1
    levels = LEVELS.search(text)
    if levels:
        for name in re.findall(r'\(\s*"(\w+)",\s*"', levels.group(1)):
            add(found, f"{prefixes['fe']}_{name}", "Gauge")
        read += 1
    written = len(REGISTER_ANY.findall(text))
    if read != written:
        raise SystemExit(f"{written} metrics are registered in a file, and {read} of them are understood: {sorted(found)}")
    return found


def type_of(identifier, text):
    """The type of a field or variable; where none is written, the only one that the file knows."""
    for written in re.findall(rf"\b{identifier}: ([^\n]*)", text):
        for word in re.findall(r"\w+", written):
            word = ALIASES.get(word, word)
            if word in TYPES:
                return word
    known = [kind for kind in TYPES if re.search(rf"\b{kind}\b", text)]
    if len(known) != 1:
        raise SystemExit(f"the type of {identifier} is not understood")
    return known[0]


def add(found, name, kind):
    found[name + ("_total" if kind == "Counter" else "")] = kind.lower()


def documented(text):
    """The metrics of docs/metrics.md: ours as name -> type, and the names of others'."""
    ours, others = {}, set()
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) < 5:
            continue
        name = cells[0].strip("`")
        if section == "Of others":
            others.add(name)
        else:
            ours[name] = cells[1]
    return ours, others


def asked_for(text, histograms):
    """The metrics that rules or a dashboard ask for; those of a histogram under its own name."""
    names = set()
    for name in NAME.findall(text):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        names.add(base if base in histograms else name)
    return names


def alerts_of(text):
    return re.findall(r"^\s*- alert: (\w+)$", text, re.M)


def differences(what, left, right):
    """One line for each that is in `left` and not in `right`."""
    return [f"{name}: {what}" for name in sorted(set(left) - set(right))]


def page_faults(alert, text):
    """What a page lacks."""
    lines = text.splitlines()
    faults = [] if lines and lines[0] == f"# {alert}" else [f"docs/runbooks/{alert}.md: does not begin with # {alert}"]
    sections = tuple(line[3:] for line in lines if line.startswith("## "))
    if sections != SECTIONS:
        faults.append(f"docs/runbooks/{alert}.md: has the sections {sections}, not {SECTIONS}")
    return faults


def in_code(root):
    found = {}
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.rs")):
            text = path.read_text()
            if "prometheus_client" in text and "tests" not in path.parts and path.name != "tests.rs":
                found.update(metrics_of(text))
    return found


def check(root):
    code = in_code(root)
    ours, others = documented((root / "docs/metrics.md").read_text())
    faults = differences("in the code and not in docs/metrics.md", code, ours)
    faults += differences("in docs/metrics.md and not in the code", ours, code)
    faults += [
        f"{name}: a {code[name]} in the code and a {ours[name]} in docs/metrics.md"
        for name in sorted(code.keys() & ours.keys())
        if code[name] != ours[name]
    ]
    monitoring = root / "charts/springtide/monitoring"
    histograms = {name for name, kind in ours.items() if kind == "histogram"}
    for file in ("alerts.yaml", "alerts.test.yaml", "dashboard.json"):
        asked = asked_for((monitoring / file).read_text(), histograms)
        faults += differences(f"in {file} and not in docs/metrics.md", asked, ours.keys() | others)
    alerts = alerts_of((monitoring / "alerts.yaml").read_text())
    tested = re.findall(r"alertname: (\w+)", (monitoring / "alerts.test.yaml").read_text())
    pages = {path.stem: path.read_text() for path in (root / "docs/runbooks").glob("*.md") if path.stem != "README"}
    index = re.findall(r"\[(\w+)\]\(\w+\.md\)", (root / "docs/runbooks/README.md").read_text())
    faults += differences("an alert without a page in docs/runbooks", alerts, pages)
    faults += differences("a page in docs/runbooks without an alert", pages, alerts)
    faults += differences("an alert that docs/runbooks/README.md does not list", alerts, index)
    faults += differences("listed in docs/runbooks/README.md and no alert", index, alerts)
    faults += differences("an alert without a test in alerts.test.yaml", alerts, tested)
    faults += [fault for alert, text in sorted(pages.items()) for fault in page_faults(alert, text)]
    return faults


def rendered(root, text):
    """Every alert of the rules is in what the chart made, and says where its page is."""
    alerts = alerts_of((root / "charts/springtide/monitoring/alerts.yaml").read_text())
    made = re.findall(r"^\s*(?:- )?alert: (\w+)$", text, re.M)
    pages = re.findall(r"runbook_url: \S+/(\w+)\.md$", text, re.M)
    return differences("not in what the chart makes", alerts, made) + differences("without a runbook_url", alerts, pages)


def main():
    faults = rendered(ROOT, sys.stdin.read()) if sys.argv[1:] == ["rendered"] else check(ROOT)
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
