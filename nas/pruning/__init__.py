"""A trained network becomes a faster one: fewer channels and blocks, chosen by their time on the device."""
