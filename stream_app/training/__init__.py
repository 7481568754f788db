"""Files of events in, a bundle out: data, model, losses, early stopping, export. Needs torch."""
