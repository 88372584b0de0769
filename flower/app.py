"""The app that `flwr run flower` sends to the SuperLink: all of it is in paper_lib, which every device has."""

from paper_lib.flower import client_app, server_app

__all__ = ["client_app", "server_app"]
