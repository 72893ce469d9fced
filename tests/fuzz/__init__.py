"""Fuzzing: what everybody but ourselves writes, changed at random, against every part that reads it.

An input is bytes: a first line that says which part of the target it is for, and what that part reads. A target gives a
word for what came of it (inputs with a new word are kept, and changed further), or raises what is a defect.
"""
