"""Second solver of the kind `als`: conjugate gradient on CSR blocks in files."""
