"""Reads a file of Prometheus' alert rules: its YAML, and each expression; prints how many rules there are."""

import sys

import promql_parser
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    groups = yaml.safe_load(file)["groups"]
rules = [rule for group in groups for rule in group["rules"]]
for rule in rules:
    assert {"alert", "expr", "annotations"} <= rule.keys(), rule
    promql_parser.parse(rule["expr"])
print(len(rules))
