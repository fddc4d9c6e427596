"""The pages. Each module here serves one of them and names, for each route, who may have it."""
