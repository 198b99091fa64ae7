"""Reading the file formats that annotations come in: tables, JSON, XML, lines of text, lists; whatever is in them."""
