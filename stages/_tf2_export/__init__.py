"""What the stages share that write a TensorFlow 2 detector as a saved-model artifact."""
