"""Models that no step has trained: how what is made of them is marked, and who refuses it. Python 3.7, standard library only."""
