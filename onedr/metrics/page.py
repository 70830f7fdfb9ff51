"""docs/metrics.md, written from the catalogue and the alert rules: `python -m onedr.metrics.page RULES`."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from onedr.metrics.catalogue import METRICS

_HEAD = """\
# Metrics, alerts, dashboard

    onedr exporter                                # http://127.0.0.1:9925/metrics
    onedr exporter --listen 192.0.2.10:9925       # for a Prometheus on another machine
    onedr exporter --textfile /var/lib/prometheus/node-exporter/onedr.prom

One exporter at each front-end answers for all datastores with the driver `ceph_dr`. It is read-only. Over
HTTP it asks for no password and shows names of VMs and datastores, so it listens on loopback unless it is
told otherwise. On a packaged front-end `systemctl enable --now onedr-exporter` starts it as oneadmin; for
another address, `systemctl edit onedr-exporter`. `--textfile` looks once and ends; the file is replaced at
once, and node_exporter's textfile collector reads it. Its folder must be oneadmin's to write to.

Each scrape looks anew; a second one within 5 s is answered with the first one's values. It costs three
calls to oned, however many datastores there are (and a process for each datastore with a `BRIDGE_LIST`),
and a status of each datastore. A peer that does not answer costs 1.2 s, one that answers slowly more: set
`scrape_timeout: 30s` and `scrape_interval: 60s`.

    scrape_configs:
      - job_name: onedr
        scrape_interval: 60s
        scrape_timeout: 30s
        static_configs: [{targets: ["127.0.0.1:9925"]}]
    rule_files: [/usr/share/onedr/prometheus/onedr.rules.yml]

`install.sh` lays the alert rules and a Grafana dashboard (`onedr/grafana/onedr.json`: Dashboards, New,
Import) into `/usr/share`, below `ONE_LOCATION` into its `share`. Without the library `prometheus_client`
the exporter says what to install. This page is made from the code; a test compares.

## Names

Labels `datastore` and `datastore_id` are the name and id of the datastore here; `vm`, `vm_id` and `site`
the VM's name and id at the site whose record it is. What is not known has no sample: no metric is 0 because
something could not be read. Ages count from time marks, which are up to 5 s more cautious than the copy
([status.md](status.md)). Entries, rates and percentages are rbd-mirror's own word, up to 30 s old.

| metric | unit | labels | meaning |
|---|---|---|---|
"""
_ALERTS = """
Hooks are measured where they record a change of a VM's state themselves: a VM runs, is powered off,
suspended, stopped or undeployed. What they missed, or what a bridge host records (`BRIDGE_LIST`), is counted
by `onedr_reconcile_repairs_total`. In snapshot mode Ceph does not say how many bytes a copy lacks;
`onedr status` shows the size of the last snapshot copied.

## Alerts

| alert | after | severity | says | page |
|---|---|---|---|---|
"""


def page(rules: str) -> str:
    """The whole page. `rules`: text of the alert rules."""
    rows = [
        f"| `{metric.name}` | {metric.unit}{', counter' if metric.kind == 'counter' else ''} | "
        f"{', '.join(f'`{label}`' for label in metric.labels)} | {metric.text} |\n"
        for metric in METRICS
    ]
    alerts = [
        f"| `{rule['alert']}` | {rule.get('for', 'at once')} | {rule['labels']['severity']} | "
        f"{_plain(rule['annotations']['summary'])} | "
        f"[{Path(rule['annotations']['page']).name}]({Path(rule['annotations']['page']).name}) |\n"
        for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]
    ]
    return _HEAD + "".join(rows) + _ALERTS + "".join(alerts)


def _plain(summary: str) -> str:
    """A summary with a word in place of each of Prometheus' templates."""
    named = re.sub(r"{{ \$labels\.([a-z_]+) }}", lambda found: found[1].upper(), summary)
    return re.sub(r"{{ \$value[^}]*}}", "N", named)


if __name__ == "__main__":
    print(page(Path(sys.argv[1]).read_text()), end="")
