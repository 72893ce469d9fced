"""Order books: `local` applies changes by hand, `live` keeps itself in step with the exchange."""
