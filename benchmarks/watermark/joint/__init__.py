"""One test over several media that were marked by sampling."""
