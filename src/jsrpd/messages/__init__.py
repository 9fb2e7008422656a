"""The messages to the operator: one catalogue as data, and their renderings."""
