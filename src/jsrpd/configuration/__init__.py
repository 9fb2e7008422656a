"""Junos configuration text into the values the cluster runs on: syntax, schema, checks, resolution."""
