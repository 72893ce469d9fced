"""Tapes: recorded frames and answers, and how they are played."""
