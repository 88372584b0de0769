"""Federated learning: sub-models of Federated Dropout, clients, and the server's averaging and optimizers."""
