"""The schema of a pipeline.config, as the Object Detection API of an image has it, in lines that can be compared. Python 3.7 syntax."""

from object_detection.protos import pipeline_pb2

PACKAGE = "object_detection.protos."


def message_types():
    """{name inside the package: descriptor} of all message types of a pipeline.config."""
    found, waiting = {}, [pipeline_pb2.TrainEvalPipelineConfig.DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        name = descriptor.full_name[len(PACKAGE) :]
        if name not in found:
            found[name] = descriptor
            waiting += [field.message_type for field in descriptor.fields if field.message_type]
    return found


def lines(leave_out):
    """ "Type: field field …" of each message type, sorted; leave_out: type to fields that are left out, with what they alone lead to."""
    told, waiting = {}, [pipeline_pb2.TrainEvalPipelineConfig.DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        name = descriptor.full_name[len(PACKAGE) :]
        if name not in told:
            fields = [field for field in descriptor.fields if field.name not in leave_out.get(name, ())]
            told[name] = "%s: %s" % (name, " ".join(sorted(field.name for field in fields)))
            waiting += [field.message_type for field in fields if field.message_type]
    return sorted(told.values())
