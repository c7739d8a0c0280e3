"""The commands of ``vchat``; ``client.cli`` lists them and imports each when it is called."""
