"""Where pictures come from: folders, archives, lists; their splits and masks."""
