"""Calls between network namespaces that the tests make themselves."""
