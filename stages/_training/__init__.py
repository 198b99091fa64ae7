"""What every training stage shares: trusted records and checkpoints, the loop, speed and history, events. Python 3.7 and newer."""
