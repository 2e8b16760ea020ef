"""Price cards kept in the books: imported, compared, restated."""
