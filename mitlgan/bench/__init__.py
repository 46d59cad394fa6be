"""bench: what this project costs on this machine, next to plain hand-written code where there is such a thing."""
