"""What a run came to, in a word."""

from _report.page import counted, listed


def verdict(states, evaluations, unusable):
    """{"css", "word", "text"}, from how the stages ended, the gates and the lints.

    states: [(stage's name, state, whether it is optional)]; evaluations: of `evaluations.evaluations`; unusable: names of the .tflite
    artifacts that are not for use.
    """
    failed = [(name, optional) for name, state, optional in states if state in ("failed", "damaged")]
    measured = [each for each in evaluations if each["unreadable"] is None]
    gates = [gate for each in measured for gate in each["gates"]]
    below = [gate for gate in gates if not gate["passed"]]
    if unusable:
        return _verdict("bad", "Not for use", f"{listed(unusable)}: what it puts out means nothing. See The model file.")
    if not all(optional for _, optional in failed):
        return _verdict("bad", "Failed", f"{listed(name for name, _ in failed)} failed; the page tells of what was made.")
    if below:
        passed = len(gates) - len(below)
        told = (
            f"A gate did not pass; {passed} of {len(gates)} did."
            if len(below) == 1
            else f"{len(below)} of {len(gates)} gates did not pass."
        )
        return _verdict("bad", "Below the gate", f"{told} See Accuracy.")
    if gates:
        return _verdict("good", "Passed", f"All {counted(len(gates), 'gate')} passed." if len(gates) > 1 else "The gate passed.")
    if measured:
        return _verdict("plain", "Measured", "The pipeline sets no gate: nothing says how good is good enough.")
    return _verdict("plain", "Not evaluated", "No artifact tells how well the model does.")


def _verdict(css, word, text):
    return {"css": css, "word": word, "text": text}
