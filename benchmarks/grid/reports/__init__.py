"""Parts of a grid's report: what validation chose, what others published, tables, pictures, several grids as one."""
