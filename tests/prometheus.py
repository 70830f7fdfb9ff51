"""Debian's Prometheus and promtool over the shipped alert rules: for tests with made-up samples, and for those of the bed."""
from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import prometheus_client.parser
import yaml

ROOT = Path(__file__).parents[1]
RULES = ROOT / "share/prometheus/onedr.rules.yml"
DASHBOARD = json.loads((ROOT / "share/grafana/onedr.json").read_text())
MINUTES = 150  # of samples for promtool, one a minute
_NONE = "none of ours"


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=120)


def held(scraped: str, at: float) -> dict[str, str]:
    """Series in promtool's notation: as if what was scraped at this moment (epoch seconds) stayed as it is, the
    age of what happened then too.
    """
    found = {}
    for family in prometheus_client.parser.text_string_to_metric_families(scraped):
        for sample in family.samples:
            labels = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sample.labels.items())
            moment = sample.name.endswith("_timestamp_seconds")
            first = sample.value - at if moment else sample.value
            found[f"{sample.name}{{{labels}}}"] = f"{first:.3f}+{60 if moment else 0}x{MINUTES}"
    return found


def firing(series: Mapping[str, str], folder: Path) -> set[str]:
    """Names of the alerts that fire at the end of the series, by promtool."""
    wrong = {"labels": f'{{alertname="{_NONE}"}}', "value": 1}  # promtool tells what it got where that is not expected
    expressions = [{
        "expr": 'max by (alertname) (ALERTS{alertstate="firing"})', "eval_time": f"{MINUTES}m", "exp_samples": [wrong],
    }]
    inputs = [{"series": key, "values": value} for key, value in series.items()]
    (folder / "test.yml").write_text(yaml.safe_dump({
        "rule_files": [str(RULES)], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": expressions}],
    }))
    done = promtool("test", "rules", str(folder / "test.yml"))
    said = done.stdout + done.stderr
    assert "got:" in said, said
    return set(re.findall(r'alertname=\\?"(\w+)\\?"', said.partition("got:")[2]))


def queries() -> list[tuple[str, str]]:
    """Title and expression of each query of the dashboard."""
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Prometheus:
    """A Prometheus of our own on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str) -> Any:
        """Data of an answer of its API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}", timeout=5) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        return list(self.ask(f"query?query={urllib.parse.quote(expression)}")["result"])

    def wait_scraped(self, limit_s: float = 60) -> None:
        """Twice: so that rates have values."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                if self.query("count_over_time(onedr_build_info[1m]) >= 2"):
                    return
            except OSError:  # it does not listen yet
                pass
            assert time.monotonic() < deadline, "Prometheus did not scrape the exporter twice"
            time.sleep(0.2)


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with the rules, that scrapes the exporter at HOST:PORT each second, and has done so twice."""
    scrape = {"job_name": "onedr", "static_configs": [{"targets": [target]}]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}, "scrape_configs": [scrape], "rule_files": [str(RULES)],
    }))
    port = free_port()
    process = subprocess.Popen(
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        made = Prometheus(port)
        made.wait_scraped()
        yield made
    finally:
        process.terminate()
        process.wait(20)
