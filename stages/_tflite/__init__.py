"""Reading, checking and making canonical TensorFlow Lite flatbuffers. Python 3.7 and the standard library only."""
