"""The generated parts of the documentation site: tables of operations, rejections, scheduled events and options."""
