"""The demonstration store: format, writer, recovery, validation, alignment, windows, import and export."""
