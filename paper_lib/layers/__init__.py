"""What resetting a layer does: re-initialisation, re-randomisation, the sweep over layers, ambient and critical."""
