"""The console's pages: a page is data first, and HTML, JSON and CSV of the same data."""
