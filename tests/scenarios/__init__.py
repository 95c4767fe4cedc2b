"""The bundled scenarios, each shown by a client."""
