"""Reads Prometheus' text format from standard input with its own client library; prints the families as JSON."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    # The library takes `_total` off a counter's name.
    name = family.name + ("_total" if family.type == "counter" else "")
    assert name not in families, f"{name} is there twice"
    families[name] = {
        "type": family.type,
        "help": family.documentation,
        "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
    }
json.dump(families, sys.stdout)
