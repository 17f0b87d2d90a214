"""One step of training: as it is, or captured once for each shape of batches and replayed."""
