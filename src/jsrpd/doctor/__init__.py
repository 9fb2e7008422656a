"""JUDGES a node's surroundings: checks over a survey, each finding with cause, consequence and mend. Pure."""
