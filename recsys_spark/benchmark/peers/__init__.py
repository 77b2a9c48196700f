"""Programs for an environment with other libraries (`make peers`).

Each prints one JSON object of seconds.
"""
