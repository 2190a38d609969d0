"""Symphony: what the bundled model can do, how fast its engines are, what its parts are for."""
