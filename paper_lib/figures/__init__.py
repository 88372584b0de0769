"""What the chapters show: drawings, tables and sound, as HTML that needs neither a kernel nor a network."""
