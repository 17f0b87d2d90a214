"""What a model begins and ends with, as one kernel each way: tables of embeddings, readout, losses."""
