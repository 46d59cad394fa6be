"""Stages: recipe, data, networks, objective and training, joined to a run with an artifact."""
