"""One module a grant type; each exports GRANT_TYPE, Parameters and handle."""
