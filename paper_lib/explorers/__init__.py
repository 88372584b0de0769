"""Parts of a page that a reader operates: self-contained HTML and JavaScript over embedded data, without a kernel."""
