"""Generated play logs with planted taste groups, genders and, if asked for, dirt (see generator.py)."""
