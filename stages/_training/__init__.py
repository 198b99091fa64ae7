"""What every training stage shares: records that can be trusted, checkpoints that can be trusted, speed and history. Python 3.7 and newer."""
