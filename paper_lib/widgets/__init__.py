"""Live widgets for JupyterLab: the questions of the explorers, asked of a real model while one waits."""
