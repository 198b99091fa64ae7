"""What differs in how two runs were made: stages, parameters, programs, images, inputs; and their times and digests."""

from _report.artifacts import flatten


def stage_rows(first, second):
    """A row for each stage of either run; of an artifact that is not here, what was made of it and the run's record tell.

    {"name", "stage", "key", "digest", "states", "seconds": [the first's, the second's], "differs": [words], "params": [(name, the first's,
    the second's)]}.
    """
    names = dict.fromkeys(name for side in (first, second) for name in [*side.lineage, *(side.record.get("stages") or {})])
    return [_row(*(_Told(name, side) for side in (first, second))) for name in names]


class _Told:
    """What one run tells of a stage: `key`, `digest`, `stage`, `state`, `seconds`, `source`, `image` (None: not known), `params` {dotted
    name: text}, `inputs` {input: digests of what feeds it}.
    """

    def __init__(self, name, side):
        entry = side.lineage.get(name, {})
        recorded = (side.record.get("stages") or {}).get(name, {})
        manifest = next((each.manifest for each in side.artifacts.all if each.name == name), {})
        self.name = name
        self.state = recorded.get("state")
        self.image = entry.get("image")
        self.key, self.digest, self.stage, self.seconds, self.source = (
            next((each[key] for each in (recorded, manifest, entry) if each.get(key) is not None), None)
            for key in ("key", "digest", "stage", "seconds", "source")
        )
        self.params = {name: text for name, text in flatten(entry.get("params") or {}) if name} if entry else None
        digests = {name: each.get("digest") for name, each in side.lineage.items()}
        self.inputs = {into: [digests.get(feeder) for feeder in feeders] for into, feeders in entry["inputs"].items()} if entry else None


def _row(one, other):
    both = (one, other)
    names = {} if None in (one.params, other.params) else dict.fromkeys([*one.params, *other.params])
    return {
        "name": one.name,
        "stage": one.stage or other.stage,
        **{name: [getattr(each, name) for each in both] for name in ("key", "digest", "seconds")},
        "states": [each.state for each in both],
        "differs": list(_differences(one, other)),
        "params": [
            (name, one.params.get(name), other.params.get(name)) for name in names if one.params.get(name) != other.params.get(name)
        ],
    }


def _differences(one, other):
    """What in the keys is not the same, in words."""
    if None in (one.digest, other.digest):
        if one.digest != other.digest:
            yield "only in the second run" if one.digest is None else "only in the first run"
    elif one.key != other.key:
        words = [
            word
            for word, name in (
                ("another stage", "stage"),
                ("parameters", "params"),
                ("program", "source"),
                ("image", "image"),
                ("inputs", "inputs"),
            )
            if None not in (getattr(one, name), getattr(other, name)) and getattr(one, name) != getattr(other, name)
        ]
        yield from words or ["another key"]
