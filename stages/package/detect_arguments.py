"""Numbers of the command line."""

import argparse


def share(text):
    """A score, 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("%s is not between 0 and 1" % text)
    return value


def whole(text):
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("%s is not 1 or more" % text)
    return value
