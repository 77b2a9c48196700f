"""Generated play logs with planted taste groups, genders and optional dirt (see generator.py)."""
