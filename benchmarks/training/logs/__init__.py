"""Where the numbers of each epoch go beside the run folder's own files: TensorBoard, Weights & Biases."""
