"""Cells: the paper's ablations and readings, each a few changes to the settings of params.yaml."""
