"""Programs that another Python runs, with other libraries (`make peers`): each prints one JSON object of seconds."""
