"""Running a converter as a program of its own. Python 3.7 and the standard library only, because both images' stages use it."""
