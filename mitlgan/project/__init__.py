"""A project: a person's photographs, and all that becomes of them in one folder, from cut layers to a composition with its report."""
