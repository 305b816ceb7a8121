"""The pages that people see: templates, style, and the headers that go with them."""
