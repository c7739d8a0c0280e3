"""House rules, checked: imports, names, packaging, diagrams."""
