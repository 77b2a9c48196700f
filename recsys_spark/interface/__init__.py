"""The interface: Python for notebooks, the command `recsys`, and the answers that both give."""
