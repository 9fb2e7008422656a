"""The operator's command ``jsrp``: grammar, displays, and the one-shot client."""
