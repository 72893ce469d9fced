"""The clients: one method for each endpoint of a service. The mechanisms are in the packages below."""
