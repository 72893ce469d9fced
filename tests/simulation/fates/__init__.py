"""Order programs under faults: each fate that the client states is compared with the exchange's own record."""
