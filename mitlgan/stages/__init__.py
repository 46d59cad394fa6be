"""The stages of work: each takes a recipe, reads its data, builds its networks, trains, and leaves a run with an artifact."""
