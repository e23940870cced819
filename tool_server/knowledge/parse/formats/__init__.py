"""One module for each kind of file, each with `read(file)`; `parse.read` imports them when a file needs them."""
