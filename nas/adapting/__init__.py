"""Makes a trained network one for other images, within a budget of milliseconds and kilobytes."""
