"""Deep Compression (Han, Mao and Dally, 2016) of trained networks: pruning, sharing, coding."""
