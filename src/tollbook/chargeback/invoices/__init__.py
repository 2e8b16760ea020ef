"""Statements of tenants and cost centres: XLSX, PDF, CSV, with the path to the evidence."""
