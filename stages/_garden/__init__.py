"""The TensorFlow Model Garden's RetinaNet: its experiments, its models in float and with fake-quantization, and its conventions."""
