"""Running a detector's .tflite with LiteRT: what its inputs and outputs are, and its detections. The data image's Python."""
