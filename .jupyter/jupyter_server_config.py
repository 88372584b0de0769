"""Read by JupyterLab: `make lab` names this directory, on Binder it is in the home directory."""

c = get_config()  # noqa: F821

# A recording of ten minutes must reach the panel that refuses it: beyond this size the server drops the connection.
c.ServerApp.tornado_settings = {"websocket_max_message_size": 512 * 2**20}
